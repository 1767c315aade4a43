"""What Peyvand manages on this machine, as shipped: `make bench`, or `python -m bench --help`."""
