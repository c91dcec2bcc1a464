"""A job that fails on purpose: its input is not there."""

from pathlib import Path

print("Reading the orders of last night")
Path("orders.csv").read_text()
