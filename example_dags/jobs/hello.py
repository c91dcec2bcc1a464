"""A job as anybody would write it: it knows nothing of who starts it."""

import time

print("Hello from Saagie!")
for step in range(1, 4):
    print(f"Working: step {step} of 3")
    time.sleep(0.5)
print("Done.")
