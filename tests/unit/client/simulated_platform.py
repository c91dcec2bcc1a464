"""A job on a platform with its own clock, for histories of hours: no thread, no network, no sleep."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from operator import itemgetter
from typing import Any, TypeVar

from airflow_provider_saagie.client.calls import Call, Pause, Steps
from airflow_provider_saagie.exceptions import SaagieOutcomeUnknown
from tests.support.clients import drive

T = TypeVar("T")
JOB = str(uuid.UUID(int=1))
PROJECT = str(uuid.UUID(int=2))
LOGIN = "airflow"
LATENCY = 0.1
KILLING_TAKES = 3.0


class WorkerDied(BaseException):
    """The process that ran the steps is gone: nothing in it catches this."""


@dataclass
class Instance:
    """An instance, with the times of its changes.

    :param run_by: the login that started it; None for Saagie's own schedule.
    :param ends_after: seconds from its start; None for a job that never ends by itself.
    :param is_own: whether a `runJob` of the task started it.
    :param epoch: how often the task had been cleared when that was sent.
    :param lost_at: from when on the platform reports UNKNOWN, until it has ended.
    """

    id: str
    number: int
    created: float
    run_by: str | None
    ends_after: float | None = 60.0
    ends_as: str = "SUCCEEDED"
    stopped_at: float | None = None
    deleted: bool = False
    is_own: bool = False
    epoch: int = 0
    lost_at: float | None = None
    obeys_stops: bool = True

    def real_status(self, now: float) -> str:
        ends_at = float("inf") if self.ends_after is None else self.created + self.ends_after
        if self.stopped_at is not None and self.stopped_at < ends_at:
            return "KILLED" if now >= min(ends_at, self.stopped_at + KILLING_TAKES) else "KILLING"
        return self.ends_as if now >= ends_at else "RUNNING"

    def status(self, now: float) -> str:
        """Return the status that the platform reports."""
        is_lost = self.lost_at is not None and now >= self.lost_at and self.is_unfinished(now)
        return "UNKNOWN" if is_lost else self.real_status(now)

    def is_unfinished(self, now: float) -> bool:
        return not self.deleted and self.real_status(now) in ("RUNNING", "KILLING")


@dataclass
class Fate:
    """What happens to a `runJob`.

    :param after: seconds from the sending until it starts an instance.
    :param answered: whether the response arrives.
    :param dies: whether the worker dies before it receives the response.
    """

    starts: bool = True
    after: float = 0.0
    answered: bool = True
    dies: bool = False
    ends_after: float | None = 60.0
    ends_as: str = "SUCCEEDED"


@dataclass
class SimulatedSaagie:
    """A platform with one job.

    :param fates: those of the next `runJob` requests; later ones succeed.
    :param dies_at: the worker dies at that call of the current steps, counted from 0; None: not.
    :param sending_takes: seconds from the first `before_send` of a request to the second one, as after a login.
    :param runs: how many `runJob` arrived.
    :param stops: the ids of the instances that requests asked to stop.
    :param epoch: how often the task has been cleared.
    """

    now: float = 1_000_000.0
    time_limit: float = 40.0
    instances: list[Instance] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    dies_at: int | None = None
    sending_takes: float = 0.0
    runs: int = 0
    stops: list[str] = field(default_factory=list)
    epoch: int = 0
    _events: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def start(self, run_by: str | None = LOGIN, **more: Any) -> Instance:
        number = len(self.instances) + 1
        self.instances.append(Instance(str(uuid.UUID(int=1000 + number)), number, self.now, run_by, **more))
        return self.instances[-1]

    def start_own(self, fate: Fate, epoch: int) -> Instance:
        return self.start(ends_after=fate.ends_after, ends_as=fate.ends_as, is_own=True, epoch=epoch)

    def find(self, instance_id: str | None) -> Instance:
        return next(instance for instance in self.instances if instance.id == instance_id)

    def stop(self, instance_id: str) -> None:
        self.stops.append(instance_id)
        instance = self.find(instance_id)
        if instance.obeys_stops and instance.status(self.now) in ("RUNNING", "UNKNOWN"):
            instance.stopped_at = self.now

    def later(self, seconds: float, event: Callable[[], object]) -> None:
        self._events.append((self.now + seconds, event))

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [event for event in self._events if event[0] <= until]:
            self._events.remove(first := min(due, key=itemgetter(0)))
            self.now = max(self.now, first[0])
            first[1]()
        self.now = until

    @property
    def own(self) -> list[Instance]:
        return [instance for instance in self.instances if instance.is_own]

    def run(self, steps: Steps[T]) -> T:
        """Run steps as a session does."""
        numbers = count()
        return drive(steps, lambda step: self._answer(step, dies=self.dies_at == next(numbers)))

    def _answer(self, step: Call | Pause, *, dies: bool) -> dict[str, Any]:
        if isinstance(step, Pause):
            self.advance(step.seconds)
            return {}
        if step.before_send:
            step.before_send()
            self.advance(self.sending_takes)
            step.before_send()
        if dies and step.operation != "runJob":
            raise WorkerDied
        self.advance(LATENCY)
        if step.operation == "runJob":
            return self._answer_run()
        if step.operation == "stopJobInstance":
            self.stop(step.variables["jobInstanceId"])
            return {"stopJobInstance": {"id": step.variables["jobInstanceId"]}}
        if step.operation == "watchedInstance":
            instance = self.find(step.variables["jobInstanceId"])
            return {"jobInstance": None if instance.deleted else self._row(instance)}
        assert step.operation in ("jobSummary", "jobInstances", "submittedInstances")
        rows = [self._row(instance) for instance in reversed(self.instances) if not instance.deleted]
        skip, limit = step.variables.get("skip", 0), step.variables.get("limit", 1)
        job = {"id": JOB, "name": "Nightly", "project": {"id": PROJECT, "name": "Demo"}}
        return {"job": {**job, "instances": rows[skip : skip + limit]}}

    def _answer_run(self) -> dict[str, Any]:
        self.runs += 1
        fate, epoch = self.fates.pop(0) if self.fates else Fate(), self.epoch
        instance = None
        if fate.starts and fate.after:
            self.later(fate.after, lambda: self.start_own(fate, epoch))
        elif fate.starts:
            instance = self.start_own(fate, epoch)
        if fate.dies:
            raise WorkerDied
        if instance and fate.answered:
            return {"runJob": self._row(instance)}
        self.advance(min(5.0, self.time_limit))
        raise SaagieOutcomeUnknown("runJob was sent and no sound answer came back", operation="runJob")

    def _row(self, instance: Instance) -> dict[str, Any]:
        created = datetime.fromtimestamp(instance.created, UTC).isoformat()
        current = {"status": instance.status(self.now), "recordAt": created}
        author = {"__typename": "AuthoredTrigger", "author": instance.run_by}
        return {
            "id": instance.id,
            "number": instance.number,
            "history": {"currentStatus": current, "statuses": [{"recordAt": created}]},
            "runTrigger": author if instance.run_by else {"__typename": "AnonymousTrigger"},
        }
