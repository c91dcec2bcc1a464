"""The books themselves: what they find, and what they leave alone."""

from __future__ import annotations

import itertools

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


def test_one_task_with_one_good_instance_balances() -> None:
    assert balance([instance("a")], [end("a")], may_stop=0).findings == {}


def test_a_stop_that_is_explained_balances() -> None:
    both = [instance("a", "KILLED", 0, 5), instance("b", began=6, ended=26)]
    assert balance(both, [end("b")], may_stop=1).findings == {}
    assert balance(both, [end("b")], may_stop=0).findings.keys() == {"stopped"}


def test_a_second_run_is_found() -> None:
    both = [instance("a"), instance("b", began=21, ended=41)]
    assert balance(both, [end("b")], may_stop=0).findings.keys() == {"doubled"}


def test_two_at_a_time_are_found_though_one_was_stopped() -> None:
    both = [instance("a", "KILLED", 0, 9), instance("b", began=8, ended=28)]
    assert balance(both, [end("b")], may_stop=1).findings == {"doubled": ["b began 1.0 s before the end of a"]}


def test_what_goes_on_without_a_task_is_found() -> None:
    both = [instance("a"), instance("b", "RUNNING", 30, None)]
    assert balance(both, [end("a")], may_stop=0).findings.keys() == {"orphaned"}


def test_a_task_that_did_not_end_well_is_found() -> None:
    assert balance([instance("a")], [end(None, "failed")], may_stop=0).findings.keys() == {"lost"}
    assert balance([instance("a", "FAILED")], [end("a")], may_stop=0).findings.keys() == {"lost"}


def test_a_task_without_a_retry_may_fail_and_then_leaves_nothing_on_its_way() -> None:
    assert balance([instance("a", "KILLED")], [end(None, "failed")], may_stop=1, may_fail=True).findings == {}
    left = balance([instance("a", "RUNNING", 0, None)], [end(None, "failed")], may_stop=1, may_fail=True)
    assert left.findings.keys() == {"orphaned"}


def test_a_clear_runs_what_was_begun_once_more() -> None:
    both = [instance("a", "KILLED", 0, 5), instance("b", began=6, ended=26)]
    assert balance(both, [end("b")], may_stop=0, clears=1, runs_again=True).findings == {}
    assert balance([instance("a")], [end("a")], may_stop=0, clears=1, runs_again=True).findings.keys() == {"lost"}
    assert balance([instance("a")], [end("a")], may_stop=0, clears=1, runs_again=False).findings == {}


def test_what_a_person_or_a_schedule_started_is_told_from_the_tasks_own() -> None:
    assert not is_guests(JobInstance("a", 1, "job", "RUNNING", run_by="airflow", is_authored=True))
    assert is_guests(JobInstance("a", 1, "job", "RUNNING", run_by="marie", is_authored=True))
    assert is_guests(JobInstance("a", 1, "job", "RUNNING", is_authored=False))


def test_siblings_have_an_instance_each() -> None:
    three = [instance("a"), instance("b"), instance("c")]
    ends = [end("a"), end("b"), end("c")]
    assert balance(three, ends, may_stop=0).findings == {}
    assert balance(three, [end("a"), end("a"), end("c")], may_stop=0).findings.keys() == {"lost"}
    assert balance([*three, instance("d")], ends, may_stop=0).findings.keys() == {"doubled"}


def test_a_seed_repeats_the_choices() -> None:
    def first(seed: int) -> list[plan.Case]:
        return list(itertools.islice(plan.plan(seed), 200))

    assert first(1) == first(1)
    assert first(1) != first(2)
    assert sum(case.strike.point is None for case in first(1)) == 100
    assert {case.strike.point for case in first(1)} == {None, *plan.POINTS}
