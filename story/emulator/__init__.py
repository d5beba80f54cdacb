"""Wire-compatible stand-ins for the vendors: `story emulate`, and `--emulate` on every command that holds a call."""
