"""Callers who join a LiveKit room, and the worker that is sent to them."""
