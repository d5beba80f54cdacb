"""What benchmarks/livekit.py is made of: a caller in a room, the workers that it meets there, and how they start."""
