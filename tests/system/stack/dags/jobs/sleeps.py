"""A job that says something at once, and then lasts longer than any test waits for it."""

import time

print("Going to sleep")  # noqa: T201 - jobs print
time.sleep(300)
print("Slept well")  # noqa: T201 - jobs print
