"""Loads what it is told to: here, nothing."""

import sys

print("Loading the orders")
if sys.argv[1:] == ["broken"]:
    print("orders.csv is missing", file=sys.stderr)
    sys.exit(3)
