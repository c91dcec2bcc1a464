"""Have tasks that were never started wait in the triggerers: run in the Airflow's environment by `thousand.py`.

Starting a thousand processes takes two cores ten minutes, and is not what is to be shown. This writes into the metadata
database what a task has left there when it defers: its state, its trigger, what it goes on with, and its record.

Arguments: the DAG run's id, the job's and the project's; the instances' ids come on the standard input.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict

from airflow._shared.timezones import timezone
from airflow.models.dagrun import DagRun
from airflow.models.task_state_store import TaskStateStoreModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

from airflow_provider_saagie.client.submit import Submission, TheTry
from airflow_provider_saagie.operators.run_record import KEY
from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger


def main(run_id: str, job_id: str, project_id: str, instance_ids: list[str]) -> None:
    """Write what a thousand deferred tasks have left."""
    moment = timezone.utcnow()
    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.run_id == run_id))
        tasks = session.scalars(
            select(TaskInstance).where(TaskInstance.run_id == run_id).order_by(TaskInstance.map_index)
        ).all()
        for task, instance_id in zip(tasks, instance_ids, strict=True):
            trigger = Trigger.from_object(
                SaagieJobInstanceTrigger(
                    saagie_conn_id="saagie_short", instance_id=instance_id, job_id=job_id, project_id=project_id,
                    poll_interval=5, owned=True, deferred_at=time.time(),
                )
            )  # fmt: skip
            session.add(trigger)
            session.flush()
            task.trigger_id = trigger.id
            task.state = TaskInstanceState.DEFERRED
            task.try_number = 1
            task.start_date = moment
            task.next_method = "execute_complete"
            task.next_kwargs = {"try_number": 1}
            mine = Submission(job_id, project_id, tried_by=TheTry(task.max_tries), instance_id=instance_id)
            session.add(
                TaskStateStoreModel(
                    dag_run_id=run.id, task_id=task.task_id, map_index=task.map_index, key=KEY, dag_id=task.dag_id,
                    run_id=run_id, value=json.dumps(asdict(mine)), updated_at=moment,
                )
            )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:4], sys.stdin.read().split())
