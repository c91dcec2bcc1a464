"""How a task knows that it, or Airflow's process beside it, stood still."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from airflow_provider_saagie.operators import pulse
from airflow_provider_saagie.operators.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT, MEMORY = 100.0, 30.0


class Moments:
    """A clock and a supervisor that do what the test says."""

    def __init__(self, beat: int | None = 0) -> None:
        self.now = 1000.0
        self.beat = beat
        self.pulse = Pulse(LIMIT, MEMORY, lambda: self.beat, lambda: self.now)

    def live(self, seconds: int, *, supervisor: bool = True) -> None:
        """Let so much time pass; this process runs."""
        for _ in range(seconds):
            self.now += 1
            if supervisor and self.beat is not None:
                self.beat += 1
            self.pulse.tick()


def test_whoever_lives_never_stood_still() -> None:
    moments = Moments()
    moments.live(1000)
    assert moments.pulse.stillness() == 0


def test_a_supervisor_that_rests_between_heartbeats_lives() -> None:
    moments = Moments()
    for _ in range(20):
        moments.live(60, supervisor=False)
        moments.live(1)
    assert moments.pulse.stillness() == 0


def test_a_process_that_wakes_up_knows_it_before_its_first_tick() -> None:
    moments = Moments()
    moments.live(10)
    moments.now += 150
    assert moments.pulse.stillness() == 150


@pytest.mark.parametrize("beat", [0, None], ids=["seen", "not seen"])
def test_a_stillness_counts_until_the_next_heartbeat_was_surely_accepted(beat: int | None) -> None:
    moments = Moments(beat)
    moments.live(10)
    moments.now += 150
    moments.live(1)
    assert moments.pulse.stillness() == pytest.approx(151)
    moments.live(int(MEMORY) - 1)
    assert moments.pulse.stillness() > 0
    moments.live(2)
    assert moments.pulse.stillness() == 0


def test_a_frozen_supervisor_is_noticed_though_the_task_lives() -> None:
    moments = Moments()
    moments.live(10)
    moments.live(int(LIMIT) - 1, supervisor=False)
    assert moments.pulse.stillness() == 0
    moments.live(50, supervisor=False)
    assert moments.pulse.stillness() == LIMIT + 49
    moments.live(1)
    assert moments.pulse.stillness() == LIMIT + 50


def test_a_short_stillness_does_not_count() -> None:
    moments = Moments()
    moments.live(10)
    moments.now += LIMIT - 2
    moments.live(1)
    assert moments.pulse.stillness() == 0


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that wakes up ten times a second."""
    process = subprocess.Popen([sys.executable, "-c", "import time\nwhile True: time.sleep(0.1)"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts this")
def test_a_stopped_process_is_told_from_one_that_waits(sleeper: subprocess.Popen[bytes]) -> None:
    beat = pulse._context_switches_of(sleeper.pid)
    before = beat()
    deadline = time.monotonic() + 10
    while beat() == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    sleeper.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    stopped = beat()
    time.sleep(1)
    assert beat() == stopped
    sleeper.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 10
    while beat() == stopped:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_of_a_process_that_is_gone_nothing_is_known(sleeper: subprocess.Popen[bytes]) -> None:
    beat = pulse._context_switches_of(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert beat() is None
    assert pulse._context_switches_of(None)() is None
