"""A process whose clock is ahead: it sees another time of day, and waits no longer than it is told to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.system.cluster.scene import clock_ahead

if TYPE_CHECKING:
    from pathlib import Path

AHEAD = 300
TELL = """
import datetime, json, multiprocessing, threading, time
times = [time.time(), datetime.datetime.now().timestamp(), time.clock_gettime(time.CLOCK_REALTIME)]
began = time.monotonic()
time.sleep(0.1)
threading.Event().wait(0.1)
multiprocessing.Semaphore(0).acquire(timeout=0.1)
print(json.dumps([times, began, time.monotonic() - began]))
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_time_of_day_is_ahead_and_durations_are_as_ever(tmp_path: Path) -> None:
    environment = os.environ | clock_ahead(AHEAD, tmp_path)
    told = subprocess.run(
        [sys.executable, "-c", TELL], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    times, monotonic, waited = json.loads(told.stdout)
    assert times == pytest.approx([time.time() + AHEAD] * 3, abs=30)
    assert monotonic == pytest.approx(time.monotonic(), abs=30)
    assert 0.3 <= waited < 10
