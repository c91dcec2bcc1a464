"""Wait for a condition that another process or thread brings about.

A test waits for what it needs, not for an amount of time. The limit only turns a condition that never comes true into a
failure; it is far above what the slowest machine needs, so that no assertion depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LIMIT = 120.0  # seconds


def wait_until(condition: Callable[[], T], *, limit: float = LIMIT, pause: float = 0.02) -> T:
    """Return the condition's first truthy value.

    :param condition: is called every `pause` seconds.
    :param limit: seconds after which the test fails.
    :param pause: seconds.
    :raises AssertionError: when the limit has passed; the message has the last value.
    """
    deadline = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < deadline, f"Still {value!r} after {limit:g} s"
        time.sleep(pause)
    return value
