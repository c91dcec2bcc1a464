"""Arguments of operators and the sensor that are refused before a request; exported folders that are unusable."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_saagie.exceptions import SaagieValidationError
from airflow_provider_saagie.operators.saagie import (
    SaagieCreateOrUpgradeJobOperator,
    SaagieDeleteJobOperator,
    SaagieExportJobOperator,
    SaagieImportJobOperator,
    SaagiePurgeInstancesOperator,
    SaagieRollbackJobOperator,
    SaagieStopInstanceOperator,
)
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor
from tests.support.executed_tasks import run_task

ID = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"
MEMORY = "memory://unit@bucket/"  # a connection of its own: Airflow keeps what is attached
UNUSABLE = {
    "empty": "",
    "object": "{}",
    "list": "[]",
    "climbing": '{"name": "x", "versions": [{"isCurrent": true, "number": "../1"}]}',
}

# fmt: off
WRONG: dict[Any, tuple[dict[str, Any], list[tuple[dict[str, Any], str]]]] = {
    SaagieStopInstanceOperator: ({}, [
        ({}, "what to stop"), ({"instance_id": ""}, "what to stop"), ({"instance_id": "7"}, "UUID"),
        ({"instance_id": ID, "job_id": ID}, "not both"), ({"job_id": ID, "stop_timeout": 0}, "stop_timeout"),
    ]),
    SaagieDeleteJobOperator: ({}, [
        ({}, "name its job"), ({"job_id": ID, "job_name": "too"}, "name its job"), ({"job_id": "all"}, "UUID"),
        ({"job_name": "one", "ignore_if_missing": True}, "project_name"),
        ({"job_id": ID, "stop_timeout": "long"}, "stop_timeout"),
    ]),
    SaagieRollbackJobOperator: ({"job_id": ID}, [
        ({"version_number": "latest"}, "whole number"), ({"version_number": ""}, "whole number"),
        ({"job_id": None}, "name its job"), ({"job_name": "too"}, "name its job"),
    ]),
    SaagiePurgeInstancesOperator: ({"job_id": ID}, [
        ({}, "without a criterion"), ({"exclude": [ID]}, "without a criterion"), ({"selector": "GOOD"}, "SUCCEEDED"),
        ({"older_than": "2026-01-01"}, "timezone"), ({"older_than": "a while"}, "a while"),
        ({"older_than": timedelta(days=-1)}, "below 0"), ({"older_than": timedelta(days=10**6)}, "older_than"),
        ({"keep_last": -1}, "keep_last"), ({"keep_last": "5"}, "keep_last"), ({"keep_last": 1.5}, "keep_last"),
        ({"include": ["x"]}, "UUID"), ({"include": ID}, "a list of UUIDs"),
    ]),
    SaagieExportJobOperator: ({"job_id": ID, "folder": "/out"}, [
        ({"folder": "out"}, "relative"), ({"folder": ""}, "folder"), ({"folder": None}, "folder"),
        ({"folder": "s3://bucket/out"}, "No filesystem registered for scheme s3"),
        ({"folder": "nonsense://bucket/out"}, "can't be reached"), ({"job_id": None}, "name its job"),
        ({"versions_limit": 0}, "versions_limit"), ({"versions_limit": "all"}, "versions_limit"),
    ]),
    SaagieImportJobOperator: ({"project_id": ID, "folder": "exports"}, [
        ({"folder": "nothing"}, "is no folder"), ({"folder": f"{MEMORY}nothing"}, "is no folder"),
        ({"folder": "."}, "it holds none"), ({"folder": ""}, "folder"), ({"if_exists": "replace"}, "if_exists"),
        ({"project_id": None}, "project_id"), ({"project_name": "too"}, "project_id"), ({"project_id": "Demo"}, "UUID"),
        *(({"folder": f"{where}{name}"}, "job.json") for where in ("exports/", MEMORY) for name in UNUSABLE),
        ({"folder": f"{MEMORY}two"}, "should hold the version's file alone, and no link"),
        ({"folder": f"{MEMORY}deep"}, "should hold the version's file alone, and no folder"),
    ]),
    SaagieCreateOrUpgradeJobOperator: ({"job_name": "nightly", "project_id": ID, "runtime_version": "3.11"}, [
        ({"project_id": None}, "project_id"), ({"job_name": ""}, "job_name"),
        ({"file": "file:///no/such/file.py"}, "can't be read"),
    ]),
    SaagieJobInstanceSensor: ({"instance_id": ID}, [
        ({"instance_id": "x"}, "`instance_id` is 'x': it should be a UUID"),
        ({"instance_id": "None"}, "its template found nothing"), ({"instance_id": None}, "it gives none of them"),
        ({"target_statuses": [None]}, "`target_statuses` is None: it should be one of"),
        ({"target_statuses": 5}, "`target_statuses` is 5: it should be a list"),
        ({"target_statuses": ["DONE"]}, "DONE"), ({"target_statuses": []}, "target_statuses"),
        ({"target_statuses": "SUCCEEDED"}, "it should be a list"),
    ]),
}
# fmt: on


@pytest.fixture
def exports(tmp_path: Path) -> Iterator[Path]:
    """Exported folders that can't be imported, next to the DAG's file and in object storage."""
    storage = MemoryFileSystem()
    attach("memory", conn_id="unit", fs=storage)
    job = '{"name": "x", "versions": [{"isCurrent": true, "number": 1}]}'
    for name, text in {**UNUSABLE, "two": job, "deep": job}.items():
        (tmp_path / "exports" / name).mkdir(parents=True)
        (tmp_path / "exports" / name / "job.json").write_text(text)
        storage.pipe_file(f"/bucket/{name}/job.json", text.encode())
    for file in ("two/version/1/job.py", "two/version/1/other.py", "deep/version/1/folder/job.py"):
        storage.pipe_file(f"/bucket/{file}", b"print(1)")
    yield tmp_path
    storage.store.clear()


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_wrong_argument_is_refused_before_a_request(kind: Any, exports: Path) -> None:
    required, rows = WRONG[kind]
    modes = [{"deferrable": True}, {}, {"mode": "reschedule"}] if kind is SaagieJobInstanceSensor else [{}]
    for changes, expected in rows:
        for mode in modes:
            error = run_task(kind(task_id="t", **{**required, **changes, **mode}), dag_file=exports / "dag.py").error
            assert isinstance(error, SaagieValidationError), (changes, mode, error)
            assert expected in str(error), (changes, mode, error)
