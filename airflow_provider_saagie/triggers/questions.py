"""What the poller asks: many instances in one request, or the newest instances of many jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    :param variables: the variables of the nth of them.
    :param parse: reads a field; raises where its shape is not the schema's.
    :param weight: what one of them adds to the size of a batch.
    :param is_whole: whether a field that came with an error can be trusted all the same.
    """

    operation: str
    field: str
    text: Callable[[int], str]
    variables: Callable[[int, A], dict[str, Any]]
    parse: Callable[[Mapping[str, Any]], Record]
    weight: Callable[[A], float]
    is_whole: Callable[[Any], bool]

    def fields(self, size: int) -> list[str]:
        """Name the fields."""
        return [f"{self.field}{n}" for n in range(size)]

    def variables_of(self, batch: Sequence[A]) -> dict[str, Any]:
        """Give the variables of a whole batch."""
        return {name: value for n, asked in enumerate(batch) for name, value in self.variables(n, asked).items()}


INSTANCES: Question[Waiter] = Question(
    operation="watchInstances",
    field="i",
    text=watch_text,
    variables=lambda n, waiter: {f"i{n}": waiter.instance_id},
    parse=JobInstance.from_answer,
    weight=lambda _: 1,
    is_whole=lambda instance: instance.status != InstanceStatus.UNKNOWN,
)
JOBS: Question[JobFeed] = Question(
    operation="watchJobs",
    field="j",
    text=watch_jobs_text,
    variables=lambda n, feed: {f"i{n}": feed.job_id, f"n{n}": feed.limit, f"s{n}": feed.skip},
    parse=JobPage.from_answer,
    weight=lambda feed: feed.limit / PAGE,
    is_whole=lambda page: bool(page.instances),  # an instance without a status is asked about by itself
)
QUESTIONS: tuple[Question[Any], ...] = (INSTANCES, JOBS)


def question_of(asked: Asked) -> Question[Any]:
    """Give the question by which something is asked about."""
    return JOBS if isinstance(asked, JobFeed) else INSTANCES
