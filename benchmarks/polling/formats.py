"""What each service answers about a run, as bytes: the usual fields, prepared once for all runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["AIRBYTE", "DATABRICKS", "DBT_CLOUD", "NUMBER", "introspection", "official_row", "prepared", "saagie_row"]

NUMBER = 7_777_777_777
"""Stands in a prepared answer for the number of the run."""
MOMENT = "2026-11-25T03:00:00.000000+00:00"


def prepared(answer: dict[str, Any]) -> tuple[bytes, ...]:
    """Cut an answer where a run's number belongs."""
    return tuple(json.dumps(answer).encode().split(str(NUMBER).encode()))


def saagie_row(started: float, *, over: bool) -> bytes:
    """Give what Saagie says of an instance in the watcher's document, but for its id, which stands before it.

    :param started: seconds since 1970.
    :param over: whether the instance has ended.
    """
    start = datetime.fromtimestamp(started, UTC).isoformat()
    row = {
        "number": 17,
        "jobId": "00000000-0000-4000-9000-000000000001",
        "startTime": start,
        "endTime": start if over else None,
        "history": {
            "currentStatus": {
                "status": "SUCCEEDED" if over else "RUNNING",
                "details": None,
                "reason": None,
                "recordAt": start,
            }
        },
        "runTrigger": {"__typename": "AuthoredTrigger", "triggerType": "MANUAL", "author": "airflow"},
        "stopTrigger": None,
    }
    return b"," + json.dumps(row).encode()[1:]


def official_row(*, over: bool) -> tuple[bytes, ...]:
    """Give what Saagie says of an instance in the official client's document."""
    status = "SUCCEEDED" if over else "RUNNING"
    row = {
        "id": NUMBER,
        "number": 17,
        "status": status,
        "history": {"currentStatus": {"status": status, "details": None, "reason": None}},
        "startTime": MOMENT,
        "endTime": MOMENT if over else None,
        "jobId": "00000000-0000-4000-9000-000000000001",
        "jobAlias": None,
        "version": {
            "number": 1,
            "releaseNote": "",
            "runtimeVersion": "3.11",
            "commandLine": "python {file}",
            "isMajor": False,
            "isCurrent": True,
        },
        "executionGlobalVariablesInput": [],
        "executionVariablesInput": [],
        "executionVariablesOutput": [],
    }
    return prepared({"data": {"jobInstance": row}})


def introspection() -> bytes:
    """Answer the official client's first question, what the schema is; with directives that its library knows."""
    from graphql import build_schema, introspection_from_schema

    from airflow_provider_saagie import emulator

    text = (Path(emulator.__file__).parent / "schema" / "projects.graphql").read_text("utf-8")
    answer = introspection_from_schema(build_schema(text))
    directives = answer["__schema"]["directives"]
    answer["__schema"]["directives"] = [one for one in directives if one["name"] in ("include", "skip")]
    return json.dumps({"data": answer}).encode()


def _dbt_cloud(*, over: bool) -> tuple[bytes, ...]:
    run = {
        "id": NUMBER,
        "trigger_id": 1,
        "account_id": 1,
        "environment_id": 1,
        "project_id": 1,
        "job_definition_id": 1,
        "status": 10 if over else 3,
        "dbt_version": "latest",
        "git_branch": "main",
        "git_sha": "0000000000000000000000000000000000000000",
        "status_message": None,
        "owner_thread_id": None,
        "executed_by_thread_id": "scheduler-run-0",
        "artifacts_saved": over,
        "has_docs_generated": False,
        "has_sources_generated": False,
        "notifications_sent": over,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "dequeued_at": MOMENT,
        "started_at": MOMENT,
        "finished_at": MOMENT if over else None,
        "href": "https://cloud.getdbt.com/deploy/1/projects/1/runs/1/",
        "duration": "01:00:00",
        "run_duration": "01:00:00",
        "in_progress": not over,
        "is_complete": over,
        "is_success": over,
        "is_error": False,
        "is_cancelled": False,
        "status_humanized": "Success" if over else "Running",
    }
    status = {"code": 200, "is_success": True, "user_message": "Success!", "developer_message": ""}
    return prepared({"status": status, "data": run})


def _databricks(*, over: bool) -> tuple[bytes, ...]:
    life = "TERMINATED" if over else "RUNNING"
    state = {"life_cycle_state": life, "state_message": "", "user_cancelled_or_timedout": False}
    if over:
        state["result_state"] = "SUCCESS"
    run = {
        "job_id": 1,
        "run_id": NUMBER,
        "creator_user_name": "airflow",
        "number_in_job": 17,
        "state": state,
        "start_time": 1795575600000,
        "setup_duration": 1000,
        "execution_duration": 3600000,
        "cleanup_duration": 0,
        "end_time": 1795579200000 if over else 0,
        "trigger": "ONE_TIME",
        "run_name": "a run",
        "run_page_url": "https://example.cloud.databricks.com/?o=1#job/1/run/1",
        "run_type": "JOB_RUN",
        "tasks": [{"run_id": 1, "task_key": "main", "notebook_task": {"notebook_path": "/a/notebook"}, "state": state}],
        "format": "MULTI_TASK",
    }
    return prepared(run)


def _airbyte(*, over: bool) -> tuple[bytes, ...]:
    return prepared(
        {
            "jobId": NUMBER,
            "status": "succeeded" if over else "running",
            "jobType": "sync",
            "startTime": MOMENT,
            "connectionId": "00000000-0000-4000-9000-000000000001",
            "lastUpdatedAt": MOMENT,
            "duration": "PT1H",
            "bytesSynced": 1000,
            "rowsSynced": 10,
        }
    )


# Of a run that goes on, and of one that is over.
DBT_CLOUD = _dbt_cloud(over=False), _dbt_cloud(over=True)
DATABRICKS = _databricks(over=False), _databricks(over=True)
AIRBYTE = _airbyte(over=False), _airbyte(over=True)
