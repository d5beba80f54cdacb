"""What benchmarks/web.py is made of: a caller, the servers it calls, and what is measured of them."""
