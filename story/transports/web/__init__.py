"""Calls from a browser: WebRTC without a server in between, a WebSocket where UDP is blocked, and the page itself."""
