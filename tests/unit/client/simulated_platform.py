"""A job on a platform with a clock of its own, for histories that would take hours: no thread, no network, no sleep."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from airflow_provider_saagie.client.calls import Call, Pause, Steps
from airflow_provider_saagie.exceptions import SaagieError, SaagieOutcomeUnknown

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
    """An instance, and when what happens to it.

    :param ends_after: seconds from its start; None for a job that never ends by itself.
    :param epoch: how often the task had been cleared when it was asked for.
    :param lost_at: when the platform loses sight of it: from then on it is UNKNOWN, until it has ended.
    :param hears_stops: whether a request to stop it has an effect.
    """

    id: str
    number: int
    created: float
    run_by: str | None
    ends_after: float | None = 60.0
    ends_as: str = "SUCCEEDED"
    stopped_at: float | None = None
    deleted: bool = False
    is_ours: bool = False
    epoch: int = 0
    lost_at: float | None = None
    hears_stops: bool = True

    def status(self, now: float) -> str:
        known = self._known_status(now)
        is_lost = self.lost_at is not None and now >= self.lost_at and known in ("RUNNING", "KILLING")
        return "UNKNOWN" if is_lost else known

    def _known_status(self, now: float) -> str:
        ends_at = float("inf") if self.ends_after is None else self.created + self.ends_after
        if self.stopped_at is not None and self.stopped_at < ends_at:
            return "KILLED" if now >= min(ends_at, self.stopped_at + KILLING_TAKES) else "KILLING"
        return self.ends_as if now >= ends_at else "RUNNING"

    def is_on_its_way(self, now: float) -> bool:
        return not self.deleted and self._known_status(now) in ("RUNNING", "KILLING")


@dataclass
class Fate:
    """What becomes of one ``runJob``.

    :param starts: whether it starts an instance.
    :param after: seconds from the sending until it does.
    :param answered: whether the answer arrives.
    :param dies: whether the worker does, instead of hearing of it.
    :param ends_after: seconds that the instance lasts.
    :param ends_as: its end.
    """

    starts: bool = True
    after: float = 0.0
    answered: bool = True
    dies: bool = False
    ends_after: float | None = 60.0
    ends_as: str = "SUCCEEDED"


@dataclass
class SimulatedSaagie:
    """One platform with one job.

    :param now: the platform's clock.
    :param epoch: how often the task has been cleared.
    :param fates: of the next ``runJob`` requests; then all go well.
    :param dies_at: the worker dies at that call of the steps that run, counted from 0; None: not.
    """

    now: float = 1_000_000.0
    time_limit: float = 40.0
    instances: list[Instance] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    dies_at: int | None = None
    runs: int = 0
    stops: list[str] = field(default_factory=list)
    epoch: int = 0
    _coming: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def start(self, run_by: str | None = LOGIN, **more: Any) -> Instance:
        number = len(self.instances) + 1
        made = Instance(str(uuid.UUID(int=1000 + number)), number, self.now, run_by, **more)
        self.instances.append(made)
        return made

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self._coming.append((self.now + seconds, what))

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while due := sorted((one for one in self._coming if one[0] <= until), key=lambda one: one[0]):
            self._coming.remove(due[0])
            self.now = max(self.now, due[0][0])
            due[0][1]()
        self.now = until

    def ours_on_their_way(self) -> list[Instance]:
        return [one for one in self.instances if one.is_ours and one.is_on_its_way(self.now)]

    def run(self, steps: Steps[T]) -> T:
        """Run steps as a session does."""
        count = 0
        try:
            step = next(steps)
            while True:
                try:
                    data = self._take(step, count)
                except SaagieError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(data)
                count += 1
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    def _take(self, step: Call | Pause, count: int) -> dict[str, Any]:
        if isinstance(step, Pause):
            self.advance(step.seconds)
            return {}
        if step.before_send:
            step.before_send()
        if self.dies_at == count and step.operation != "runJob":
            raise WorkerDied
        self.advance(LATENCY)
        answer: dict[str, Any] = getattr(self, f"_{step.operation}")(**step.variables)
        return answer

    def _runJob(self, jobId: str) -> dict[str, Any]:  # noqa: N802, N803 - the platform's names
        assert jobId == JOB
        self.runs += 1
        fate, epoch = self.fates.pop(0) if self.fates else Fate(), self.epoch
        if not fate.starts:
            return self._lost(fate)
        if fate.after:
            self.later(fate.after, lambda: self._start_ours(fate, epoch))
            return self._lost(fate)
        made = self._start_ours(fate, epoch)
        if fate.dies:
            raise WorkerDied
        return {"runJob": self._row(made)} if fate.answered else self._lost(fate)

    def _start_ours(self, fate: Fate, epoch: int) -> Instance:
        return self.start(ends_after=fate.ends_after, ends_as=fate.ends_as, is_ours=True, epoch=epoch)

    def _lost(self, fate: Fate) -> dict[str, Any]:
        if fate.dies:
            raise WorkerDied
        self.advance(min(5.0, self.time_limit))
        raise SaagieOutcomeUnknown("runJob was sent and no sound answer came back", operation="runJob")

    def _stopJobInstance(self, jobInstanceId: str) -> dict[str, Any]:  # noqa: N802, N803 - as above
        self.stop(jobInstanceId)
        return {"stopJobInstance": self._row(self._find(jobInstanceId))}

    def stop(self, instance_id: str) -> None:
        self.stops.append(instance_id)
        found = self._find(instance_id)
        if found.hears_stops and found.status(self.now) in ("RUNNING", "UNKNOWN"):
            found.stopped_at = self.now

    def _watchedInstance(self, jobInstanceId: str) -> dict[str, Any]:  # noqa: N802, N803 - as above
        found = self._find(jobInstanceId)
        return {"jobInstance": self._row(found) if found and not found.deleted else None}

    def _jobSummary(self, jobId: str) -> dict[str, Any]:  # noqa: N802, N803 - as above
        newest = [self._row(one) for one in self._listed()][:1]
        project = {"id": PROJECT, "name": "Demo"}
        return {"job": {"id": jobId, "name": "Nightly", "isStreaming": False, "project": project, "instances": newest}}

    def _jobInstances(self, jobId: str, limit: int, skip: int) -> dict[str, Any]:  # noqa: N802, N803 - as above
        return {"job": {"id": jobId, "instances": [self._row(one) for one in self._listed()][skip : skip + limit]}}

    _submittedInstances = _jobInstances  # noqa: N815 - as above

    def _listed(self) -> Iterator[Instance]:
        return (one for one in reversed(self.instances) if not one.deleted)

    def _find(self, instance_id: str) -> Instance:
        return next(one for one in self.instances if one.id == instance_id)

    def _row(self, one: Instance) -> dict[str, Any]:
        made = datetime.fromtimestamp(one.created, UTC).isoformat()
        trigger = (
            {"__typename": "AuthoredTrigger", "author": one.run_by}
            if one.run_by
            else {"__typename": "AnonymousTrigger"}
        )
        return {
            "id": one.id,
            "number": one.number,
            "jobId": JOB,
            "startTime": made,
            "history": {
                "currentStatus": {"status": one.status(self.now), "recordAt": made},
                "statuses": [{"recordAt": made}],
            },
            "runTrigger": trigger,
        }
