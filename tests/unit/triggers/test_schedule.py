"""When a waiter is due, compared with a model that sorts a list, and the size of a batch."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.triggers.batch_size import BELIEVED, BatchSize
from airflow_provider_saagie.triggers.schedule import (
    EARLY,
    FINEST_GRID,
    NOT_SCHEDULED,
    Schedule,
    interval,
    next_but_not_soon,
    next_tick,
)
from airflow_provider_saagie.triggers.waiter import Asked
from tests.unit.triggers.test_rounds import make_waiter

MANY = 4
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, MANY - 1), st.sampled_from([0.0, 0.1, 1.0, 2.5]), st.integers(0, 5)),
        st.tuples(st.just("drop"), st.integers(0, MANY - 1)),
        st.tuples(st.just("leave"), st.integers(0, MANY - 1)),
        st.just(("next",)),
        st.tuples(st.just("take"), st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.integers(1, 2)),
    ),
    max_size=40,
)


@dataclass
class Model:
    """Lists in the order in which entries were made, each an entry's order, its due time, and whose it is."""

    coming: list[tuple[float, float, int]] = field(default_factory=list)
    due: list[tuple[float, float, int]] = field(default_factory=list)

    def forget(self, who: int) -> None:
        self.coming = [entry for entry in self.coming if entry[2] != who]
        self.due = [entry for entry in self.due if entry[2] != who]

    def put(self, who: int, due: float) -> None:
        self.forget(who)
        self.coming.append((due, due, who))

    def next_due(self) -> float | None:
        waiting = self.due or self.coming
        return min(waiting, key=lambda entry: entry[0])[1] if waiting else None

    def take(self, now: float, at_most: int, intervals: dict[int, float]) -> tuple[list[int], float | None]:
        over = sorted((entry for entry in self.coming if entry[0] <= now), key=lambda entry: entry[0])
        self.coming = [entry for entry in self.coming if entry[0] > now]
        self.due += [(due + intervals[who], due, who) for _, due, who in over]
        taken = sorted(self.due, key=lambda entry: entry[0])[:at_most]
        self.due = [entry for entry in self.due if entry not in taken]
        return [who for *_, who in taken], min((due for _, due, _ in taken), default=None)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(steps=STEPS)
def test_schedule_equals_a_sorted_list(steps: list[tuple[object, ...]]) -> None:
    schedule, model, now, taken = Schedule(), Model(), 100.0, list[Asked]()
    waiters: list[Asked] = [make_waiter() for _ in range(MANY)]
    intervals: dict[int, float] = {}
    used: set[tuple[int, float]] = set()  # one put again for a time keeps its place there, which is harmless
    for step in steps:
        match step:
            case ("put", int(who), float(ahead), int(seconds)):
                if not waiters[who].left and (who, now + ahead) not in used:
                    used.add((who, now + ahead))
                    intervals[who] = seconds
                    schedule.put(waiters[who], now + ahead, seconds)
                    model.put(who, now + ahead)
            case ("drop", int(who)):
                schedule.drop(waiters[who])
                model.forget(who)
            case ("leave", int(who)):
                waiters[who].left = True
                model.forget(who)
            case ("take", float(later), int(at_most)):
                now += later
                taken, since = schedule.take(now, at_most)
                assert ([waiters.index(one) for one in taken], since) == model.take(now, at_most, intervals)
                assert all(one.due == NOT_SCHEDULED for one in taken)
                assert schedule.next_due() == model.next_due()
            case _:
                assert schedule.next_due() == model.next_due()
    schedule.take(now + 100, 1_000)
    logs = [weakref.ref(waiter.log) for waiter in waiters]
    waiters.clear()
    taken = []
    assert [log() for log in logs] == [None] * MANY  # nothing is kept of a waiter that is not scheduled


def test_batch_size_doubles_after_a_while() -> None:
    size = BatchSize(100)
    assert size.at(BELIEVED) == 100
    size.shrink(30, 1_000)
    size.shrink(70, 1_000)  # another request of the same round, of which less was refused
    times = [1_000 + BELIEVED * rounds for rounds in (0.99, 1, 1.99, 2, 2.99, 3)]
    assert [size.at(now) for now in times] == [30, 60, 60, 100, 100, 100]


@given(age=st.floats(0, 1e7), poll_interval=st.floats(0.05, 3600))
def test_interval_is_the_poll_interval_at_most(age: float, poll_interval: float) -> None:
    assert 0 < interval(age, poll_interval) <= poll_interval
    assert interval(1e7, poll_interval) == poll_interval


GRID = st.floats(FINEST_GRID, 3600)


@given(now=st.floats(0, 1e7), seconds=GRID)
def test_ticks_are_neither_too_soon_nor_far_off(now: float, seconds: float) -> None:
    tick = next_tick(now, seconds)
    assert EARLY * 0.99 <= tick - now <= (seconds + EARLY) * 1.01
    assert next_tick(tick, seconds) - tick == pytest.approx(seconds, rel=1e-6)
    assert next_tick(tick - EARLY * 0.9, seconds) == next_tick(tick, seconds)
    assert seconds * 0.499 <= next_but_not_soon(now, seconds) - now <= seconds * 1.001


@given(now=st.floats(0, 1e7), seconds=st.floats(0.05, FINEST_GRID, exclude_max=True))
def test_interval_too_short_for_a_grid_is_kept(now: float, seconds: float) -> None:
    for due in (next_tick(now, seconds), next_but_not_soon(now, seconds)):
        assert due - now == pytest.approx(max(seconds, EARLY), abs=1e-6)
