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


def names(project_id: str) -> dict[str, str]:
    """Read lists, by each way to find a job."""
    jobs = SaagieHook().jobs
    found = {job["name"]: job["id"] for job in jobs.list_for_project_minimal(project_id)["jobs"]}
    for job in jobs.list_for_project(project_id, versions_only_current=True)["jobs"]:
        found[job["alias"] or job["name"]] = job["id"]
    by_alias = jobs.get_info_by_alias(project_id, "nightly")["jobByAlias"]
    return found | {by_alias["name"]: jobs.get_id("nightly", "Demo")}


def change(job_id: str, project_id: str) -> tuple[str, bool, int]:
    """Change a job in all ways."""
    jobs = SaagieHook().jobs
    name: str = jobs.edit(job_id, description="new", emails=[])["editJob"]["name"]
    jobs.upgrade_by_name(name, "Demo", command_line="python {file}")["data"]["addJobVersion"]["number"]
    either = jobs.create_or_upgrade(name, project_id, is_scheduled=False)
    made = either["data"]["createJob"]["id"] if "data" in either else either["editJob"]["id"]
    current = [one["number"] for one in jobs.rollback(made, 1)["rollbackJobVersion"]["versions"] if one["isCurrent"]]
    went = all(row["success"] for row in jobs.delete_versions(made, [2, 3])["deleteJobVersions"])
    copy: str = jobs.duplicate(made)["duplicateJob"]["id"]
    jobs.generate_description_by_ai(copy)["editJobWithAiGeneratedDescription"]["description"]
    imported: bool = jobs.import_from_json(project_id, "out")
    deleted: bool = jobs.delete(copy)["deleteJob"]
    return name, went and imported and deleted, current[0]


def clean_up(job_id: str, instance_id: str) -> int:
    """Stop, count and delete instances."""
    jobs = SaagieHook().jobs
    status: str | None = jobs.stop(instance_id)["stopJobInstance"]["status"]
    counted = {row["selector"]: row["count"] for row in jobs.count_deletable_instances_by_status(job_id)[
        "countJobInstancesBySelector"
    ]}  # fmt: skip
    jobs.count_instances_by_status(job_id)["countJobInstancesBySelector"][0]["count"]
    before: int = jobs.count_deletable_instances_by_date(job_id, "2023-06-01T00:00:00Z")["countJobInstancesByDate"]
    went = [row["id"] for row in jobs.delete_instances(job_id, [instance_id])["deleteJobInstances"] if row["success"]]
    failed = jobs.delete_instances_by_selector(job_id, "FAILED")["deleteJobInstancesBySelector"]
    old = jobs.delete_instances_by_date(job_id, "2023-06-01T00:00:00Z", [], [instance_id])["deleteJobInstancesByDate"]
    return before + failed + old + len(went) + counted["ALL"] + (status == "KILLING")


def wrong(job_id: str) -> None:
    """Have the mistakes found that a caller makes: each `ignore` is needed, else mypy says so."""
    jobs = SaagieHook().jobs
    jobs.get_info(job_id)["jobs"]  # type: ignore[typeddict-item]
    jobs.run(job_id, 3)  # type: ignore[call-arg]
    jobs.create_or_upgrade("a", "b", emails="a@b.c")  # type: ignore[arg-type]
