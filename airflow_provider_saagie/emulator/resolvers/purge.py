"""Counting and deleting instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import MutationType, QueryType

from airflow_provider_saagie.emulator.states import SELECTORS
from airflow_provider_saagie.emulator.store import jobs, purge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_saagie.emulator.resolvers.context import Context, Info

query = QueryType()
mutation = MutationType()


@query.field("countJobInstancesBySelector")
def count_by_selector(_: object, info: Info, job_id: str) -> list[dict[str, Any]]:
    """Count a job's deletable instances by how they ended."""
    context = info.context
    jobs.require_job(context.database, context.platform, job_id)
    return [
        {"selector": selector, "count": len(purge.ended_by_selector(context.database, job_id, selector))}
        for selector in SELECTORS
    ]


@query.field("countJobInstancesByDate")
def count_by_date(_: object, info: Info, job_id: str, before_at: int) -> int:
    """Count a job's deletable instances that started before a moment."""
    context = info.context
    jobs.require_job(context.database, context.platform, job_id)
    return len(purge.ended_before(context.database, job_id, before_at))


@mutation.field("deleteJobInstances")
def delete_instances(
    _: object, info: Info, job_id: str, job_instance_ids: list[str] | None = None
) -> list[dict[str, Any]]:
    """Delete instances, as far as they have ended and belong to the job."""
    context = info.context
    jobs.require_job(context.database, context.platform, job_id)
    wanted = job_instance_ids or []
    gone = set(purge.delete_instances(context.database, job_id, wanted))
    return [{"id": one, "success": one in gone} for one in wanted]


@mutation.field("deleteJobInstancesBySelector")
def delete_by_selector(
    _: object,
    info: Info,
    job_id: str,
    selector: str,
    exclude_job_instance_ids: list[str] | None = None,
    include_job_instance_ids: list[str] | None = None,
    **_not_implemented: object,
) -> int:
    """Delete a job's instances by how they ended."""
    context = info.context
    jobs.require_job(context.database, context.platform, job_id)
    found = purge.ended_by_selector(context.database, job_id, selector)
    return _delete(context, job_id, found, exclude_job_instance_ids, include_job_instance_ids)


@mutation.field("deleteJobInstancesByDate")
def delete_by_date(
    _: object,
    info: Info,
    job_id: str,
    before_at: int,
    exclude_job_instance_ids: list[str] | None = None,
    include_job_instance_ids: list[str] | None = None,
) -> int:
    """Delete a job's instances that started before a moment."""
    context = info.context
    jobs.require_job(context.database, context.platform, job_id)
    found = purge.ended_before(context.database, job_id, before_at)
    return _delete(context, job_id, found, exclude_job_instance_ids, include_job_instance_ids)


def _delete(
    context: Context, job_id: str, found: Iterable[str], exclude: list[str] | None, include: list[str] | None
) -> int:
    chosen = purge.choose(found, exclude or (), include or ())
    return len(purge.delete_instances(context.database, job_id, chosen))


BINDABLES = (query, mutation)
