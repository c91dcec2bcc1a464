"""Detecting that a task's process, or its supervisor, was suspended."""

from __future__ import annotations

import threading

import pytest

from airflow_provider_saagie.operators import pulse
from airflow_provider_saagie.operators.pulse import Pulse
from tests.support.waiting import wait_until

LIMIT, MEMORY = 100.0, 30.0
Step = tuple[str, int]


def measure(steps: list[Step], *, supervisor_is_visible: bool) -> float:
    """Return the suspension that is known after the steps.

    Seconds in which both processes run are `run`, those in which only the supervisor does not are `rest`, those in
    which neither does are `freeze`.
    """
    now, beat = 1000.0, 0
    detector = Pulse(LIMIT, MEMORY, lambda: beat if supervisor_is_visible else None, lambda: now)
    for kind, seconds in steps:
        if kind == "freeze":
            now += seconds
            continue
        for _ in range(seconds):
            now += 1
            beat += kind == "run"
            detector.tick()
    return detector.stillness()


ALIVE = ("run", 10)
FROZEN: dict[str, tuple[list[Step], float]] = {
    "always running": ([("run", 1000)], 0),
    "known before the first tick": ([ALIVE, ("freeze", 150)], 150),
    "known after it": ([ALIVE, ("freeze", 150), ("run", 1)], 151),
    "counts until the next heartbeat": ([ALIVE, ("freeze", 150), ("run", 30)], 151),
    "forgotten after it": ([ALIVE, ("freeze", 150), ("run", 32)], 0),
    "too short": ([ALIVE, ("freeze", 98), ("run", 1)], 0),
}
SUPERVISOR_FROZEN: dict[str, tuple[list[Step], float]] = {
    "rests between heartbeats": ([("rest", 60), ("run", 1)] * 20, 0),
    "too short": ([ALIVE, ("rest", 99)], 0),
    "frozen": ([ALIVE, ("rest", 149)], 149),
    "thawed": ([ALIVE, ("rest", 149), ("run", 1)], 150),
}


def test_suspension_counts_while_a_retry_may_have_begun() -> None:
    for name, (steps, expected) in FROZEN.items():
        for visible in (True, False):
            assert measure(steps, supervisor_is_visible=visible) == expected, (name, visible)
    for name, (steps, expected) in SUPERVISOR_FROZEN.items():
        assert measure(steps, supervisor_is_visible=True) == expected, name
        assert measure(steps, supervisor_is_visible=False) == 0, name


def test_probe_that_hangs_does_not_delay_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[None] = []

    class Counting(Pulse):
        def tick(self) -> None:
            ticks.append(None)
            super().tick()

    monkeypatch.setattr(pulse, "TICK", 0.01)
    monkeypatch.setattr(pulse, "Pulse", Counting)
    probed, over = threading.Event(), threading.Event()

    def hang() -> bool:
        probed.set()
        return over.wait(300)

    with pulse.beating(hang) as detector:
        assert probed.wait(60)
        before = len(ticks)
        wait_until(lambda: len(ticks) > before + 5)
        assert detector.stillness() == 0
        over.set()
