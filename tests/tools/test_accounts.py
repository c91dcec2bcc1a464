"""The chaos run's accounts: what they find, and what they accept; the choices of its plan."""

from __future__ import annotations

import itertools
from typing import Any

from airflow_provider_saagie.client.instances import JobInstance
from tests.system.cluster import plan
from tests.system.cluster.accounts import TaskEnd, balance
from tests.system.cluster.guests import is_guests


def instance(name: str, status: str = "SUCCEEDED", began: int = 0, ended: int | None = 20) -> JobInstance:
    def at(second: int) -> str:
        return f"2026-01-01T00:00:{second:02}+00:00"

    end = at(ended) if ended is not None else None
    return JobInstance(name, 1, "job", status, created_at=at(began), end_time=end)


def end(name: str | None, state: str = "success") -> TaskEnd:
    return TaskEnd(state, name, 1)


GOOD, STOPPED, AGAIN = instance("a"), instance("a", "KILLED", 0, 5), instance("b", began=6, ended=26)
THREE, ENDS = [instance("a"), instance("b"), instance("c")], [end("a"), end("b"), end("c")]
FAILED = [end(None, "failed")]
# What there is, how the tasks ended, what is explained, and what is found.
BOOKS: list[tuple[list[JobInstance], list[TaskEnd], dict[str, Any], set[str]]] = [
    ([GOOD], [end("a")], {"may_stop": 0}, set()),
    ([STOPPED, AGAIN], [end("b")], {"may_stop": 1}, set()),
    ([STOPPED, AGAIN], [end("b")], {"may_stop": 0}, {"stopped"}),
    ([GOOD, instance("b", began=21, ended=41)], [end("b")], {"may_stop": 0}, {"doubled"}),
    ([GOOD, instance("b", "RUNNING", 30, None)], [end("a")], {"may_stop": 0}, {"orphaned"}),
    ([GOOD], FAILED, {"may_stop": 0}, {"lost"}),
    ([instance("a", "FAILED")], [end("a")], {"may_stop": 0}, {"lost"}),
    ([instance("a", "KILLED")], FAILED, {"may_stop": 1, "may_fail": True}, set()),
    ([instance("a", "RUNNING", 0, None)], FAILED, {"may_stop": 1, "may_fail": True}, {"orphaned"}),
    ([STOPPED, AGAIN], [end("b")], {"may_stop": 0, "clears": 1, "runs_again": True}, set()),
    ([GOOD], [end("a")], {"may_stop": 0, "clears": 1, "runs_again": True}, {"lost"}),
    ([GOOD], [end("a")], {"may_stop": 0, "clears": 1, "runs_again": False}, set()),
    (THREE, ENDS, {"may_stop": 0}, set()),
    (THREE, [end("a"), end("a"), end("c")], {"may_stop": 0}, {"lost"}),
    ([*THREE, instance("d")], ENDS, {"may_stop": 0}, {"doubled"}),
]


def test_balance_finds_what_nothing_explains() -> None:
    for number, (instances, tasks, explained, findings) in enumerate(BOOKS):
        assert balance(instances, tasks, **explained).findings.keys() == findings, number
    both = [instance("a", "KILLED", 0, 9), instance("b", began=8, ended=28)]
    assert balance(both, [end("b")], may_stop=1).findings == {"doubled": ["b began 1.0 s before the end of a"]}


def test_guests_are_told_by_user_and_schedule() -> None:
    guests = {("airflow", True): False, ("marie", True): True, (None, False): True}
    for (user, is_authored), expected in guests.items():
        assert is_guests(JobInstance("a", 1, "job", "RUNNING", run_by=user, is_authored=is_authored)) is expected, user


def test_plan_repeats_with_its_seed() -> None:
    def first(seed: int) -> list[plan.Case]:
        return list(itertools.islice(plan.plan(seed), 200))

    assert first(1) == first(1)
    assert first(1) != first(2)
    assert sum(case.strike.point is None for case in first(1)) == 100
    assert {case.strike.point for case in first(1)} == {None, *plan.POINTS}
