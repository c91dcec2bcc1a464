"""What others' operators do at the same points: the same runs, with Airflow's own mixin and with dbt-cloud's operator.

Loaded only where the driver asks for it. Where dbt-cloud's provider is not installed beside Airflow, its DAGs are left
out.
"""

from __future__ import annotations

import functools
import os
import time
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, Context, ResumableJobMixin

from airflow_provider_saagie.hooks.saagie import SaagieHook

ON_ITS_WAY = ("AWAITING", "REQUESTED", "QUEUED", "RUNNING", "KILLING")
COMMON: dict[str, Any] = {"task_id": "run", "retries": 8, "retry_delay": timedelta(seconds=1)}


class MixinRun(ResumableJobMixin, BaseOperator):
    """Runs a Saagie job as Airflow's mixin has it: submit, store the id, poll."""

    template_fields = ("job_id",)

    def __init__(self, *, job_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.instance_id: str | None = None

    @functools.cached_property
    def jobs(self) -> Any:
        """Saagie's jobs."""
        return SaagieHook("saagie_short").jobs

    def execute(self, context: Context) -> Any:
        """Run it."""
        return self.execute_resumable(context)

    def submit_job(self, context: Context) -> Any:
        """Start the job."""
        self.instance_id = self.jobs.run(self.job_id)["runJob"]["id"]
        return self.instance_id

    def get_job_status(self, external_id: Any, context: Context) -> str:
        """Read the instance's status."""
        return str(self.jobs.get_instance(external_id)["jobInstance"]["status"])

    def is_job_active(self, status: str) -> bool:
        """Say whether it is on its way."""
        return status in ON_ITS_WAY

    def is_job_succeeded(self, status: str) -> bool:
        """Say whether it has succeeded."""
        return status == "SUCCEEDED"

    def poll_until_complete(self, external_id: Any, context: Context) -> Any:
        """Wait for its end."""
        self.instance_id = external_id
        while self.is_job_active(status := self.get_job_status(external_id, context)):
            time.sleep(2)
        if not self.is_job_succeeded(status):
            raise RuntimeError(f"{external_id} ended {status}")
        return external_id

    def get_job_result(self, external_id: Any, context: Context) -> Any:
        """Give the instance's id."""
        return external_id

    def on_kill(self) -> None:
        """Stop it, as operators with this mixin do."""
        if self.instance_id:
            self.jobs.stop(self.instance_id)


if os.environ.get("SAAGIE_CHAOS_PEERS"):
    with DAG("chaos_mixin", schedule=None, max_active_runs=200):
        MixinRun(job_id="{{ dag_run.conf['job_id'] }}", **COMMON)
    try:
        from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
    except ImportError:
        pass
    else:
        for name, deferrable in (("dbt_waiting", False), ("dbt_deferred", True)):
            with DAG(f"chaos_{name}", schedule=None, max_active_runs=200):
                DbtCloudRunJobOperator(
                    job_id="{{ dag_run.conf['number'] }}",  # type: ignore[arg-type]  # a template
                    account_id=1,
                    check_interval=2,
                    deferrable=deferrable,
                    **COMMON,
                )

    import chaos_points

    chaos_points.arm()
