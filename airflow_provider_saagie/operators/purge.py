"""SaagiePurgeInstancesOperator: delete a job's old instances."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.exceptions import SaagieValidationError
from airflow_provider_saagie.operators.job_reference import JOB_FIELDS, find_job
from airflow_provider_saagie.operators.saagie_task import SaagieTask, show_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.instances import JobInstance
    from airflow_provider_saagie.client.purge import Criteria

__all__ = ["SaagiePurgeInstancesOperator"]

SHOWN_ROWS = 50


class SaagiePurgeInstancesOperator(SaagieTask):
    """Delete instances of a job that have ended, with their logs.

    An instance is deleted if it fits all criteria that are given; at least one is needed. Instances on their way, and
    those that belong to a pipeline's instance, are never deleted.

    The task returns how many it deleted.

    .. code-block:: python

        purge = SaagiePurgeInstancesOperator(
            task_id="purge", job_name="nightly", project_name="Sales", older_than=timedelta(days=30), keep_last=10
        )

    :param job_id: the job's UUID (templated).
    :param job_name: the job's name (templated).
    :param project_name: the name of its project (templated).
    :param job_alias: the job's alias (templated).
    :param project_id: the UUID of its project (templated).
    :param selector: how they ended: ALL, SUCCEEDED, FAILED, STOPPED or UNKNOWN (templated).
    :param older_than: how long ago they started (a timedelta), or the moment before which they started (a datetime or
        an ISO 8601 text with a timezone) (templated).
    :param keep_last: how many of the newest to keep in any case.
    :param exclude: ids of instances to keep (templated).
    :param include: ids of instances to delete as well; they win over all else (templated).
    :param dry_run: whether to only show in the log what would be deleted.
    :param saagie_conn_id: the connection's id (templated).
    :raises SaagieValidationError: where no criterion is given, or one is wrong; nothing was deleted then.
    """

    template_fields: Sequence[str] = (*JOB_FIELDS, "selector", "older_than", "exclude", "include", "saagie_conn_id")

    def __init__(
        self,
        *,
        job_id: str | None = None,
        job_name: str | None = None,
        project_name: str | None = None,
        job_alias: str | None = None,
        project_id: str | None = None,
        selector: str | None = None,
        older_than: timedelta | datetime | str | None = None,
        keep_last: int | None = None,
        exclude: Sequence[str] = (),
        include: Sequence[str] = (),
        dry_run: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.job_name = job_name
        self.project_name = project_name
        self.job_alias = job_alias
        self.project_id = project_id
        self.selector = selector
        self.older_than = older_than
        self.keep_last = keep_last
        self.exclude = exclude
        self.include = include
        self.only_show = dry_run  # `dry_run` is a method of Airflow's operators

    def execute(self, context: Context) -> int:
        """Choose the instances, show them, and delete them.

        :return: how many went.
        """
        from airflow_provider_saagie.client import purge

        criteria = self._criteria()
        client = self.hook.get_conn()
        job = find_job(self, client)
        show_link(context, client.settings.job_url(job.project_id, job.id))
        deletable = client.session.run(purge.list_deletable(job.id))
        chosen = purge.choose(deletable, criteria)
        self.log.info(
            "%s %d of %d ended instances of the job %r:%s",
            "Would delete" if self.only_show else "Deleting",
            len(chosen),
            len(deletable),
            job.name,
            _table(chosen),
        )
        if self.only_show or not chosen:
            return 0
        went, kept = client.session.run(purge.delete_chosen(job.id, [instance.id for instance in chosen]))
        self.log.info("Deleted %d instances.", len(went))
        if kept:
            self.log.warning("Saagie kept %d instances: %s", len(kept), ", ".join(kept))
        return len(went)

    def _criteria(self) -> Criteria:
        from airflow_provider_saagie.client.checks import one_of
        from airflow_provider_saagie.client.instances import SELECTORS
        from airflow_provider_saagie.client.purge import Criteria

        given = (self.selector, self.older_than, self.keep_last)
        if all(value is None for value in given) and not self.include:
            raise SaagieValidationError(
                "A purge without a criterion is refused: give `selector` (ALL to mean all of them), `older_than`, "
                "`keep_last` or `include`."
            )
        if self.keep_last is not None and (type(self.keep_last) is not int or self.keep_last < 0):
            raise SaagieValidationError(f"`keep_last` is {self.keep_last!r}: it should be a whole number from 0 on.")
        return Criteria(
            selector=None if self.selector is None else one_of("selector", self.selector, SELECTORS),
            before=_moment(self.older_than),
            keep_last=self.keep_last,
            exclude=_ids("exclude", self.exclude),
            include=_ids("include", self.include),
        )


def _ids(name: str, given: object) -> tuple[str, ...]:
    from airflow_provider_saagie.client.checks import identifiers

    return tuple(identifiers(name, given))  # as Saagie writes them: an id in capitals is the same id


def _moment(older_than: timedelta | datetime | str | None) -> datetime | None:
    if older_than is None:
        return None
    if isinstance(older_than, timedelta) and older_than < timedelta(0):
        raise SaagieValidationError(f"`older_than` is {older_than!r}: an age below 0 would mean all instances.")
    try:
        if isinstance(older_than, timedelta):
            return datetime.now(UTC) - older_than
        moment = older_than if isinstance(older_than, datetime) else datetime.fromisoformat(older_than)
    except (ValueError, TypeError, OverflowError):
        raise SaagieValidationError(
            f"`older_than` is {older_than!r}: it should be a timedelta, or a moment such as 2026-06-01T00:00:00+01:00."
        ) from None
    if moment.tzinfo is None:
        raise SaagieValidationError(f"`older_than` is {older_than!r}, which has no timezone.")
    return moment


def _table(instances: list[JobInstance]) -> str:
    rows = [f"\n  {i.number or '?':>6}  {i.status:<10} {i.start_time or '':<26} {i.id}" for i in instances[:SHOWN_ROWS]]
    rest = f"\n  … and {len(instances) - SHOWN_ROWS} more" if len(instances) > SHOWN_ROWS else ""
    return "".join(rows) + rest
