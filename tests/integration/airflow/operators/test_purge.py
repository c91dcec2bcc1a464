"""SaagiePurgeInstancesOperator: the choice as a pure function, then run by Airflow against the emulator."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_saagie.client import instances, purge
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.purge import Criteria, choose
from airflow_provider_saagie.operators.saagie import SaagiePurgeInstancesOperator

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def instance(number: int, status: str = "SUCCEEDED") -> JobInstance:
    start = (NOW - timedelta(days=100 - number)).isoformat()
    return JobInstance(id=f"i{number}", number=number, job_id="j", status=status, start_time=start)


ALL = [instance(5), instance(4, "FAILED"), instance(3, "KILLED"), instance(2), instance(1, "ERROR")]


@pytest.mark.parametrize(
    ("criteria", "numbers"),
    [
        (Criteria(), []),
        (Criteria(selector="ALL"), [5, 4, 3, 2, 1]),
        (Criteria(selector="FAILED"), [4, 1]),
        (Criteria(selector="STOPPED"), [3]),
        (Criteria(selector="SUCCEEDED", keep_last=1), [2]),
        (Criteria(keep_last=3), [2, 1]),
        (Criteria(keep_last=0), [5, 4, 3, 2, 1]),
        (Criteria(before=NOW - timedelta(days=97)), [2, 1]),
        (Criteria(selector="FAILED", before=NOW - timedelta(days=97)), [1]),
        (Criteria(selector="ALL", exclude=("i5", "i2")), [4, 3, 1]),
        (Criteria(include=("i3",)), [3]),
        (Criteria(selector="FAILED", exclude=("i4",), include=("i4", "i5")), [5, 4, 1]),
        (Criteria(keep_last=5, include=("i5",)), [5]),
    ],
    ids=str,
)
def test_criteria_narrow_each_other_down_and_include_wins(criteria: Criteria, numbers: list[int]) -> None:
    assert [chosen.number for chosen in choose(ALL, criteria)] == numbers


@given(st.integers(0, 8), st.sampled_from([None, *instances.SELECTORS]))
def test_the_newest_are_kept_whatever_else_is_asked(keep_last: int, selector: str | None) -> None:
    chosen = choose(ALL, Criteria(selector=selector, keep_last=keep_last, before=NOW))
    assert not set(chosen) & set(ALL[:keep_last])


@pytest.fixture
def ran(make_job: Any, client: SaagieClient) -> tuple[str, list[str]]:
    """A job that ran three times: its id, and its instances', the oldest first."""
    job_id = make_job("print(1)")
    ids = [client.jobs.run(job_id)["runJob"]["id"] for _ in range(3)]
    limit = time.monotonic() + 20
    while time.monotonic() < limit and len(client.session.run(purge.list_deletable(job_id))) < 3:
        time.sleep(0.1)
    return job_id, ids


@pytest.fixture
def purging(run_dag: Any, new_dag: Callable[[], DAG]) -> Callable[..., TaskResult]:
    """A function that runs one purge operator, and tells how it ended."""

    def run(**given: Any) -> TaskResult:
        dag = new_dag()
        with dag:
            SaagiePurgeInstancesOperator(task_id="purge", **given)
        return run_dag(dag)["purge"]

    return run


def left(client: SaagieClient, job_id: str) -> list[str]:
    return [one.id for one in client.session.run(instances.list_instances(job_id, limit=9))][::-1]


def test_what_fits_goes_and_the_newest_stay(purging: Any, ran: Any, client: SaagieClient) -> None:
    job_id, ids = ran
    result = purging(job_id=job_id, selector="SUCCEEDED", keep_last=1)
    assert (result.state, result.xcoms["return_value"]) == ("success", 2)
    assert left(client, job_id) == ids[2:]


def test_a_dry_run_shows_a_table_and_deletes_nothing(purging: Any, ran: Any, client: Any, capfd: Any) -> None:
    job_id, ids = ran
    result = purging(job_id=job_id, older_than=timedelta(0), dry_run=True)
    assert (result.state, result.xcoms["return_value"]) == ("success", 0)
    assert left(client, job_id) == ids
    shown = "".join(capfd.readouterr())
    assert "Would delete 3 of 3" in shown
    assert all(one in shown for one in ids)


def test_an_id_in_capitals_is_kept_all_the_same(purging: Any, ran: Any, client: Any) -> None:
    job_id, ids = ran
    result = purging(job_id=job_id, selector="ALL", exclude=[one.upper() for one in ids], include=None)
    assert (result.state, result.xcoms["return_value"]) == ("success", 0)
    assert left(client, job_id) == ids


def test_instances_on_their_way_are_never_deleted(purging: Any, make_job: Any, client: SaagieClient) -> None:
    job_id = make_job("import time\ntime.sleep(60)")
    running = client.jobs.run(job_id)["runJob"]["id"]
    result = purging(job_id=job_id, selector="ALL", include=[running])
    assert (result.state, result.xcoms["return_value"]) == ("success", 0)
    assert left(client, job_id) == [running]
    client.jobs.stop(running)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "without a criterion"),
        ({"exclude": ["f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"]}, "without a criterion"),
        ({"selector": "GOOD"}, "SUCCEEDED"),
        ({"older_than": "2026-01-01"}, "timezone"),
        ({"older_than": "a while"}, "a while"),
        ({"older_than": timedelta(days=-1)}, "below 0"),
        ({"older_than": timedelta(days=10**6)}, "older_than"),
        ({"keep_last": -1}, "keep_last"),
        ({"keep_last": "5"}, "keep_last"),
        ({"keep_last": 1.5}, "keep_last"),
        ({"include": ["x"]}, "UUID"),
        ({"include": "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"}, "a list of UUIDs"),
    ],
    ids=str,
)
def test_bad_criteria_delete_nothing(
    purging: Any, make_job: Any, emulator: Emulator, given: dict[str, Any], said: str, capfd: Any
) -> None:
    job_id = make_job("print(1)")
    before = emulator.requests()
    assert purging(job_id=job_id, **given).state == "failed"
    assert said in "".join(capfd.readouterr())
    assert emulator.requests() == before
