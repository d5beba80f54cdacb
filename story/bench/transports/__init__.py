"""The transports that the calls of a benchmark can be held over, with both ends of each call in this process."""
