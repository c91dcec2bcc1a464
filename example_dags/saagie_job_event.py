"""
### Run when a Saagie job has ended

The ends of a Saagie job become events of an asset, whoever started the job: Saagie's own schedule, a person, another
tool. The DAG runs when an end has come, and is told which instance it was; no task waits for it.

Set the environment variable `SAAGIE_REPORT_JOB_ID` to your job's id, or put the id below, then unpause the DAG:
Airflow watches only for DAGs that are not paused.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_saagie.triggers.saagie import SaagieJobEventTrigger

JOB_ID = os.environ.get("SAAGIE_REPORT_JOB_ID", "00000000-0000-4000-8000-000000000000")

report = Asset(
    name="saagie_report",
    watchers=[AssetWatcher(name="ends_of_the_job", trigger=SaagieJobEventTrigger(job_id=JOB_ID))],
)


@task
def instances(triggering_asset_events: Any = None) -> dict[str, str]:
    """Give the instances that ended, each once: an end may be told twice."""
    ends = [event.extra["payload"] for events in triggering_asset_events.values() for event in events]
    return {end["instance_id"]: end["url"] for end in ends}


with DAG(
    "saagie_job_event",
    schedule=[report],
    is_paused_upon_creation=True,
    tags=["saagie", "example"],
    doc_md=__doc__,
):
    instances()
