"""A job that fails on purpose: its input is not there."""

from pathlib import Path

print("Reading the orders of last night")
if not Path("orders.csv").exists():
    raise FileNotFoundError("orders.csv is missing: were the orders of last night exported?")
