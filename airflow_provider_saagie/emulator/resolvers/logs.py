"""Logs of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import QueryType

from airflow_provider_saagie.emulator.resolvers.instances import require_instance
from airflow_provider_saagie.emulator.store import logs

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.resolvers.context import Context, Info
_OF_THE_JOB = ("STDOUT", "STDERR")
LARGEST_PAGE = 10_000

query = QueryType()


@query.field("filteredLogs")
def filtered_logs(
    _: object,
    info: Info,
    job_instance_id: str,
    streams: list[str | None],
    limit: int | None = None,
    skip: int | None = None,
) -> dict[str, Any]:
    """Read the lines of some streams, in order of arrival."""
    return _page(info.context, job_instance_id, [one for one in streams if one], limit, skip)


@query.field("countFilteredLogs")
def count_filtered_logs(_: object, info: Info, job_instance_id: str, streams: list[str | None]) -> int:
    """Count the lines of some streams."""
    return _count(info.context, job_instance_id, [one for one in streams if one])


@query.field("logs")
def one_log(
    _: object,
    info: Info,
    job_instance_id: str,
    limit: int | None = None,
    skip: int | None = None,
    stream: str | None = None,
) -> dict[str, Any]:
    """Read the lines of one stream, or of all of the job's."""
    return _page(info.context, job_instance_id, [stream] if stream else list(_OF_THE_JOB), limit, skip)


@query.field("countLogs")
def count_one_log(_: object, info: Info, job_instance_id: str, stream: str | None = None) -> int:
    """Count the lines of one stream, or of all of the job's."""
    return _count(info.context, job_instance_id, [stream] if stream else list(_OF_THE_JOB))


def _page(
    context: Context, instance_id: str, streams: list[str], limit: int | None, skip: int | None
) -> dict[str, Any]:
    require_instance(context, instance_id)
    most = LARGEST_PAGE if limit is None else max(0, min(limit, LARGEST_PAGE))
    return {
        "count": logs.count_lines(context.database, instance_id, streams),
        "content": logs.read_lines(context.database, instance_id, streams, most, max(0, skip or 0)),
    }


def _count(context: Context, instance_id: str, streams: list[str]) -> int:
    require_instance(context, instance_id)
    return logs.count_lines(context.database, instance_id, streams)


BINDABLES = (query,)
