"""A process whose clock is ahead: it sees another time of day, and its waits last as long as usual."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.cluster.scene import clock_ahead

AHEAD = 3600
CODE = """
import datetime, json, multiprocessing, threading, time
times = [time.time(), datetime.datetime.now().timestamp(), time.clock_gettime(time.CLOCK_REALTIME)]
began = time.monotonic()
time.sleep(0.1)
threading.Event().wait(0.1)
multiprocessing.Semaphore(0).acquire(timeout=0.1)
print(json.dumps([times, began, time.monotonic() - began]))
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_clock_is_ahead_and_durations_are_not(tmp_path: Path) -> None:
    environment = os.environ | clock_ahead(AHEAD, tmp_path)
    before, monotonic_before = time.time(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True, timeout=250
    )
    times, monotonic, waited = json.loads(done.stdout)
    assert all(before + AHEAD <= seen <= time.time() + AHEAD for seen in times)
    assert monotonic_before <= monotonic <= time.monotonic()
    assert waited >= 0.3
