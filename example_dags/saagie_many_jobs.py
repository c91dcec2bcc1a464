"""
### Many jobs, two at a time, and their outputs

1. **deploy** creates a Saagie job for each city, all of them from `jobs/count.py`;
2. **run** runs them all and waits without worker slots; its pool lets two be on their way at a time;
3. **shares** reads the jobs' output variables, and works out each one's share;
4. **describe** writes it into the job's description, with the hook.

It needs a connection `saagie_default`, a project named `Demo`, and a pool `saagie` that counts deferred tasks:
`airflow pools set saagie 2 "Saagie" --include-deferred`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_saagie.hooks.saagie import SaagieHook
from airflow_provider_saagie.operators.saagie import SaagieCreateOrUpgradeJobOperator, SaagieRunJobOperator

CITIES = ["Lille", "Lyon", "Nantes", "Paris", "Rouen", "Strasbourg"]

with DAG(
    "saagie_many_jobs",
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["saagie", "example"],
    doc_md=__doc__,
):
    deploy = SaagieCreateOrUpgradeJobOperator.partial(
        task_id="deploy",
        project_name="Demo",
        file="jobs/count.py",
        runtime_version="3.11",
    ).expand_kwargs(
        [{"job_name": f"Airflow visitors of {city}", "command_line": f"python {{file}} {city}"} for city in CITIES]
    )

    run = SaagieRunJobOperator.partial(
        task_id="run",
        deferrable=True,
        poll_interval=5,
        pool="saagie",  # it counts deferred tasks: no more instances are on their way than it has slots
    ).expand(job_id=deploy.output)

    @task
    def shares(job_ids: list[str], outputs: list[dict[str, str]]) -> list[dict[str, str]]:
        """Say of each job which share of the visitors it has counted."""
        counted = [int(one["VISITORS"]) for one in outputs]
        return [
            {"job_id": job_id, "description": f"{visitors / sum(counted):.0%} of all visitors"}
            for job_id, visitors in zip(job_ids, counted, strict=True)
        ]

    @task
    def describe(job_id: str, description: str) -> None:
        """Write it into the job's description."""
        SaagieHook().jobs.edit(job_id, description=description)

    describe.expand_kwargs(shares(deploy.output, run.output["outputs"]))
