"""Counts what it was asked to count, and hands the number on."""

import os
import sys
import time
from pathlib import Path

city = sys.argv[1]
print(f"Counting the visitors of {city}")
time.sleep(2)
visitors = len(city) * 1000
print(f"{visitors} visitors")
with Path(os.environ["SAAGIE_OUTPUT_VARS_PATH"]).open("a") as outputs:
    outputs.write(f"VISITORS={visitors}\n")
