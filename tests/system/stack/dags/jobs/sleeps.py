"""A job that prints a line at once, then lasts longer than any test."""

import time

print("Going to sleep")  # noqa: T201 - jobs print
time.sleep(3600)
print("Slept well")  # noqa: T201 - jobs print
