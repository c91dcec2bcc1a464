"""What SaagieRunJobOperator refuses before it starts anything; how it would have waited makes no difference."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator

if TYPE_CHECKING:
    from airflow_provider_saagie.client.saagie import SaagieClient
    from airflow_provider_saagie.emulator.testing import Emulator


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "it gives none of them"),
        ({"job_id": "x"}, "UUID"),
        ({"job_id": "{{ ti.xcom_pull(task_ids='nobody') }}"}, "`job_id` is 'None': its template found nothing"),
        ({"job_alias": "x", "project_id": "{{ none }}"}, "`project_id` is 'None': its template found nothing"),
        ({"job_name": "x"}, "project_name"),
        ({"job_alias": "x"}, "project_id"),
        ({"job_name": "x", "project_name": "Nowhere"}, "'Demo'"),
        ({"job_id": "a", "job_name": "b", "project_name": "c"}, "job_id, and job_name"),
        ({"job_id": "00000000-0000-4000-8000-000000000000"}, "has no job"),
        ({"job_id": "00000000-0000-4000-8000-000000000000", "on_timeout": "explode"}, "on_timeout"),
    ],
    ids=str,
)
def test_bad_input_starts_nothing_and_says_what_is_wrong(
    run_dag: Any, new_dag: Any, emulator: Emulator, given: dict[str, Any], said: str, capfd: Any
) -> None:
    before = emulator.requests()
    with new_dag() as dag:
        SaagieRunJobOperator(task_id="run", **given)
    assert run_dag(dag)["run"].state == "failed"
    assert said in "".join(capfd.readouterr())
    assert emulator.requests() == before


@pytest.mark.parametrize(
    "given",
    [
        {"timeout": timedelta(seconds=-30)},
        {"timeout": "30"},
        {"timeout": float("nan")},
        {"timeout": -1},
        {"poll_interval": None},
        {"poll_interval": timedelta(0)},
        {"skip_on": "KILLED"},
        {"on_timeout": "wait"},
    ],
    ids=str,
)
def test_a_bad_argument_starts_nothing(
    run_dag: Any, new_dag: Any, make_job: Any, client: SaagieClient, given: dict[str, Any], capfd: Any
) -> None:
    job_id = make_job("print(1)")
    with new_dag() as dag:
        SaagieRunJobOperator(task_id="run", job_id=job_id, **given)
    assert run_dag(dag)["run"].state == "failed"
    assert f"`{next(iter(given))}` is" in "".join(capfd.readouterr())
    assert client.session.run(instances.list_instances(job_id, limit=5)) == []


def test_a_misspelt_skip_on_starts_nothing(
    run_dag: Any, new_dag: Any, make_job: Any, client: SaagieClient, capfd: Any
) -> None:
    job_id = make_job("print(1)")
    with new_dag() as dag:
        SaagieRunJobOperator(task_id="run", job_id=job_id, skip_on=["KILLED", "evicted"])
    assert run_dag(dag)["run"].state == "failed"
    assert "`skip_on` holds 'evicted': statuses and reasons are written in capitals" in "".join(capfd.readouterr())
    assert client.session.run(instances.list_instances(job_id, limit=5)) == []
