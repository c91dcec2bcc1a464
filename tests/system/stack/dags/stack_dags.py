"""DAGs for tests of the stack itself; they use nothing of the provider."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, Context


class Deferring(BaseOperator):
    """Waits in the triggerer for some seconds."""

    def execute(self, context: Context) -> None:
        """Hand over to the triggerer."""
        self.log.info("before the deferral")
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=self.params["seconds"])), method_name="resume")

    def resume(self, context: Context, event: Any) -> str:
        """End well."""
        self.log.info("after the deferral")
        return "resumed"


with DAG("stack_deferring", schedule=None, params={"seconds": 3}):
    # Airflow fails a task whose trigger fires before the scheduler has heard of its deferral: a busy machine's race.
    Deferring(task_id="wait", retries=2, retry_delay=timedelta(seconds=1))
