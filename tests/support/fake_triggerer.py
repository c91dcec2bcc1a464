"""What surrounds an event trigger, in the event loop of the test: a job of the fake Saagie, and Airflow's triggerer."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    AssetStateStoreResult,
    GetAssetStateStoreByName,
    OKResponse,
    SetAssetStateStoreByName,
)
from airflow.sdk.execution_time.context import AssetStateStoreAccessors

from airflow_provider_saagie.triggers.saagie import SaagieJobEventTrigger
from tests.support.fake_saagie import JOB, ItemError, instance, row
from tests.support.recording_logger import RecordingLogger

NEVER = (math.inf, math.inf)


@dataclass
class Run:
    """An instance; times are in seconds since the start of the fake Saagie."""

    number: int
    starts: float = 0.0
    ends: float = math.inf
    status: str = "SUCCEEDED"
    deleted: float = math.inf
    id: str = ""

    def row(self, at: float) -> dict[str, Any]:
        status, end = (self.status, f"end {self.ends:g}") if self.ends <= at else ("RUNNING", None)
        return row(status, number=self.number, jobId=JOB, endTime=end) | {"id": self.id}


@dataclass
class FakeJob:
    """A job's instances, and the times (from, to) in which it is not as it should be.

    :param missing: the platform answers null for the job and for its instances.
    :param failing: it answers an error for both.
    :param hidden: it answers an error for the job and null for its instances, as to a login without rights.
    """

    runs: list[Run] = field(default_factory=list)
    missing: tuple[float, float] = NEVER
    failing: tuple[float, float] = NEVER
    hidden: tuple[float, float] = NEVER

    def add(self, *runs: Run) -> None:
        for run in runs:
            run.id = instance(len(self.runs) + 1)
            self.runs.append(run)

    def list_rows(self, at: float) -> list[dict[str, Any]] | None:
        if any(begins <= at < ends for begins, ends in (self.failing, self.hidden)):
            raise ItemError("no right to see it", "FORBIDDEN")
        if self.missing[0] <= at < self.missing[1]:
            return None
        present = [run for run in self.runs if run.starts <= at < run.deleted]
        return [run.row(at) for run in sorted(present, key=lambda run: -run.number)]

    def get(self, instance_id: str, at: float) -> dict[str, Any] | None:
        rows = None if self.hidden[0] <= at < self.hidden[1] else self.list_rows(at)
        return next((row for row in rows or () if row["id"] == instance_id), None)


class Recorded(SaagieJobEventTrigger):
    """A trigger whose log is kept."""

    log: Any = None


@dataclass
class Database:
    """What outlives a triggerer: asset events, and the assets' state."""

    events: list[dict[str, Any]] = field(default_factory=list)
    state: dict[tuple[str, str], str] = field(default_factory=dict)
    away: Exception | None = None
    writes: int = 0
    has_state: asyncio.Event = field(default_factory=asyncio.Event)


class Triggerer:
    """A runner of one event trigger, and its supervisor, which alone reaches the database.

    :param arguments: the trigger's.
    :param assets: those that the trigger feeds; none, as before Airflow 3.3, for a trigger without a state store.
    """

    def __init__(
        self, database: Database, arguments: dict[str, Any], monkeypatch: Any, assets: tuple[str, ...]
    ) -> None:
        self.database = database
        self.awake = asyncio.Event()
        self.awake.set()
        self.trigger = Recorded(**arguments)
        self.trigger.log = RecordingLogger()
        if assets:
            self.trigger.asset_state_store = AssetStateStoreAccessors(inlets=[Asset(name) for name in assets])
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", self, raising=False)
        self.yielded: list[dict[str, Any]] = []
        self.has_yielded = asyncio.Event()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._hand_over())]

    @property
    def lines(self) -> list[str]:
        return self.trigger.log.lines

    async def asend(self, message: Any) -> Any:
        await self.awake.wait()
        await asyncio.sleep(0.01)
        if self.database.away:
            raise self.database.away
        key = message.name, message.key
        if isinstance(message, GetAssetStateStoreByName):
            stored = self.database.state.get(key)
            return OKResponse(ok=True) if stored is None else AssetStateStoreResult(value=json.loads(stored))
        assert isinstance(message, SetAssetStateStoreByName)
        self.database.state[key] = json.dumps(message.value)
        self.database.writes += 1
        self.database.has_state.set()
        return OKResponse(ok=True)

    async def _run(self) -> None:
        async for event in self.trigger.run():
            await asyncio.sleep(0)
            self.yielded.append(json.loads(json.dumps(event.payload)))
            self.has_yielded.set()

    async def _hand_over(self) -> None:
        while True:
            await self.has_yielded.wait()
            await asyncio.sleep(1)
            self.has_yielded.clear()
            self.database.events += self.yielded
            self.yielded.clear()

    async def crash(self) -> None:
        """End as by SIGKILL, but in this loop: events that the database does not have are lost."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await asyncio.sleep(0.1)

    async def end(self) -> None:
        """End once all events are stored."""
        await asyncio.sleep(10)
        await self.crash()
