"""A worker that is drained while Airflow defers a task: some 70 ms, in which the task's process has nothing to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator

if TYPE_CHECKING:
    from airflow_provider_saagie.client.saagie import SaagieClient


class DrainedAsItDefers(SaagieRunJobOperator):
    """Gets SIGTERM when it has asked to be deferred; Airflow calls `on_kill`, and defers it all the same."""

    def execute(self, context: Any) -> str:
        try:
            return super().execute(context)
        except TaskDeferred:
            self.on_kill()
            raise


def test_what_is_being_deferred_is_left_to_its_trigger(
    run_dag: Any, new_dag: Any, make_job: Any, client: SaagieClient
) -> None:
    job_id = make_job("import time\ntime.sleep(3)")
    with new_dag() as dag:
        DrainedAsItDefers(task_id="run", job_id=job_id, deferrable=True, poll_interval=1)
    result = run_dag(dag)["run"]
    (instance,) = client.session.run(instances.list_instances(job_id, limit=5))
    assert (result.state, instance.status) == ("success", "SUCCEEDED")
    assert result.xcoms["return_value"] == instance.id
