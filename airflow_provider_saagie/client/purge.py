"""Which instances to delete: a pure choice, and the calls around it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_saagie.client import answers, checks
from airflow_provider_saagie.client.calls import Call, Steps
from airflow_provider_saagie.client.instances import JobInstance, delete_instances

__all__ = ["Criteria", "choose", "delete_chosen", "list_deletable"]

PAGE = 200
AT_A_TIME = 100
STATUSES_OF = {
    "ALL": ("SUCCEEDED", "FAILED", "KILLED", "UNKNOWN", "ERROR", "SKIPPED"),
    "SUCCEEDED": ("SUCCEEDED",),
    "FAILED": ("FAILED", "ERROR"),
    "STOPPED": ("KILLED",),
    "UNKNOWN": ("UNKNOWN",),
}
"""Which statuses a selector of the schema means; see docs/assumptions.md."""


@dataclass(frozen=True)
class Criteria:
    """Which instances to delete; what is None doesn't restrict.

    :param selector: ALL, SUCCEEDED, FAILED, STOPPED or UNKNOWN.
    :param before: only those that started before this moment.
    :param keep_last: keep that many of the newest, whatever else is said.
    :param exclude: ids to keep.
    :param include: ids to delete as well; they win over ``exclude``, as Saagie has it.
    """

    selector: str | None = None
    before: datetime | None = None
    keep_last: int | None = None
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


def choose(newest_first: Iterable[JobInstance], criteria: Criteria) -> list[JobInstance]:
    """Choose the instances to delete.

    :param newest_first: the job's instances that can be deleted, the newest first.
    :param criteria: which of them.
    """
    chosen = []
    for place, instance in enumerate(newest_first):
        kept = place < (criteria.keep_last or 0) or instance.id in criteria.exclude
        if instance.id in criteria.include or (not kept and _fits(instance, criteria)):
            chosen.append(instance)
    return chosen


def _fits(instance: JobInstance, criteria: Criteria) -> bool:
    has_criterion = criteria.selector is not None or criteria.before is not None or criteria.keep_last is not None
    if not has_criterion:
        return False
    if criteria.selector is not None and instance.status not in STATUSES_OF[criteria.selector]:
        return False
    if criteria.before is not None:
        return instance.start_time is not None and datetime.fromisoformat(instance.start_time) < criteria.before
    return True


def list_deletable(job_id: str) -> Steps[list[JobInstance]]:
    """List the instances of a job that Saagie would delete, the newest first (``job.instances``)."""
    job_id = checks.identifier("job_id", job_id)
    found: dict[str, JobInstance] = {}
    skip = 0
    while True:
        data = yield Call("deletableInstances", {"jobId": job_id, "limit": PAGE, "skip": skip})
        job = answers.known(data, "job", operation="deletableInstances", what=f"job {job_id}")
        page = answers.rows(job, "instances")
        for row in page:
            if (row.get("deletableState") or {}).get("deletable"):
                instance = JobInstance.from_answer(row)
                found[instance.id] = instance  # instances that start meanwhile move the pages: none counts twice
        if len(page) < PAGE:
            return sorted(found.values(), key=lambda instance: instance.number or 0, reverse=True)
        skip += PAGE


def delete_chosen(job_id: str, ids: Collection[str]) -> Steps[tuple[list[str], list[str]]]:
    """Delete instances, a hundred at a time (``deleteJobInstances``).

    :return: the ids that went, and those that the platform kept.
    """
    went: list[str] = []
    kept: list[str] = []
    pending = list(ids)
    while pending:
        data = yield from delete_instances(job_id, pending[:AT_A_TIME])
        for row in answers.rows(data, "deleteJobInstances"):
            (went if row.get("success") else kept).append(str(row.get("id")))
        pending = pending[AT_A_TIME:]
    return went, kept
