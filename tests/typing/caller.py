"""How a caller uses the Jobs API: `mypy --strict` checks it (`make check`); nothing runs it."""

from __future__ import annotations

from airflow_provider_saagie import SaagieHook


def newest_status(job_id: str) -> str | None:
    """Read keys by their names, without a cast."""
    jobs = SaagieHook().jobs
    instances = jobs.get_info(job_id, instances_limit=1)["job"]["instances"]
    return instances[0]["status"] if instances else None


def deploy(project_id: str) -> tuple[str, int]:
    """Tell a new job from one that was there."""
    jobs = SaagieHook(saagie_conn_id="saagie_test").jobs
    made = jobs.create("nightly", project_id, file="nightly.py", runtime_version="3.11")
    job_id = made["data"]["createJob"]["id"]
    version = jobs.upgrade(job_id, release_note="two")["data"]["addJobVersion"]["number"]
    return job_id, version


def run(job_id: str) -> tuple[str, float | None]:
    """Use what is returned, of whatever type."""
    jobs = SaagieHook().jobs
    status, instance_id = jobs.run_with_callback(job_id, freq=5, timeout=60)
    instance = jobs.get_instance(instance_id)["jobInstance"]
    outputs = instance["executionVariablesOutput"] or []
    rows = next((variable["value"] for variable in outputs if variable["key"] == "rows"), None)
    moved: str = jobs.move_job(job_id, 2, job_id)["moveJob"]
    exported: bool = jobs.export(moved, "out")
    return status if exported else "", float(rows) if rows else None


def wrong(job_id: str) -> None:
    """Have the mistakes found that a caller makes: each `ignore` is needed, else mypy says so."""
    jobs = SaagieHook().jobs
    jobs.get_info(job_id)["jobs"]  # type: ignore[typeddict-item]
    jobs.run(job_id, 3)  # type: ignore[call-arg]
    jobs.create_or_upgrade("a", "b", emails="a@b.c")  # type: ignore[arg-type]
