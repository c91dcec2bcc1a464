"""What the poller asks: many instances in one request, or the newest instances of many jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeAlias, TypeVar

from airflow_provider_saagie.client.documents import watch_jobs_text, watch_text
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.status import InstanceStatus
from airflow_provider_saagie.triggers.job_feed import PAGE, JobFeed, JobPage
from airflow_provider_saagie.triggers.waiter import Asked, Waiter

__all__ = ["INSTANCES", "JOBS", "QUESTIONS", "Question", "Record", "question_of"]

A = TypeVar("A", bound=Asked)
Record: TypeAlias = JobInstance | JobPage


@dataclass(frozen=True)
class Question(Generic[A]):
    """A document that asks about many at a time, a field each.

    :param operation: its name.
    :param field: what its fields are called, before their number.
    :param text: the query for so many.
    :param variables: the variables of a batch.
    :param parse: reads a field; raises where its shape is not the schema's.
    :param known: what was read of one last, where the next answer may tell just the same.
    :param weight: what one of them adds to the size of a batch.
    :param is_whole: whether a field that came with an error can be trusted all the same.
    """

    operation: str
    field: str
    text: Callable[[int], str]
    variables: Callable[[Sequence[A]], dict[str, Any]]
    parse: Callable[[Mapping[str, Any]], Record]
    known: Callable[[A], JobInstance | None]
    weight: Callable[[A], float]
    is_whole: Callable[[Any], bool]

    def fields(self, size: int) -> tuple[str, ...]:
        """Name the fields."""
        return _numbered(self.field, size)


@lru_cache(maxsize=256)
def _numbered(name: str, size: int) -> tuple[str, ...]:
    return tuple(f"{name}{n}" for n in range(size))


INSTANCES: Question[Waiter] = Question(
    operation="watchInstances",
    field="i",
    text=watch_text,
    variables=lambda batch: dict(
        zip(_numbered("i", len(batch)), (waiter.instance_id for waiter in batch), strict=True)
    ),
    parse=JobInstance.from_answer,
    known=lambda waiter: waiter.instance,
    weight=lambda _: 1,
    is_whole=lambda instance: instance.status != InstanceStatus.UNKNOWN,
)
JOBS: Question[JobFeed] = Question(
    operation="watchJobs",
    field="j",
    text=watch_jobs_text,
    variables=lambda batch: {
        name: value
        for n, feed in enumerate(batch)
        for name, value in ((f"i{n}", feed.job_id), (f"n{n}", feed.limit), (f"s{n}", feed.skip))
    },
    parse=JobPage.from_answer,
    known=lambda _: None,
    weight=lambda feed: feed.limit / PAGE,
    is_whole=lambda page: bool(page.instances),  # an instance without a status is asked about by itself
)
QUESTIONS: tuple[Question[Any], ...] = (INSTANCES, JOBS)


def question_of(asked: Asked) -> Question[Any]:
    """Give the question by which something is asked about."""
    return JOBS if isinstance(asked, JobFeed) else INSTANCES
