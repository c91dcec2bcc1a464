"""A DAG that runs when a job ends; the test writes down which job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_saagie.triggers.saagie import SaagieJobEventTrigger

JOB = Path(__file__).with_name("event_job_id")


def watchers() -> list[AssetWatcher]:
    """Watch the job, once it is known."""
    if not JOB.exists():
        return []
    trigger = SaagieJobEventTrigger(job_id=JOB.read_text(encoding="utf-8"), poll_interval=2)
    return [AssetWatcher(name="ends", trigger=trigger)]


@task
def payloads(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
    """Give what the trigger told."""
    return [event.extra["payload"] for events in triggering_asset_events.values() for event in events]


with DAG("after_a_job", schedule=[Asset("event_job", watchers=watchers())]):
    payloads()
