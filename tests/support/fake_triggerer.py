"""Airflow's triggerer as far as an event trigger sees it, in the event loop of the test."""

from __future__ import annotations

import asyncio
import json
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
from tests.support.recording_logger import RecordingLogger


class Recorded(SaagieJobEventTrigger):
    """A trigger whose log is kept."""

    recorder: RecordingLogger

    @property
    def log(self) -> RecordingLogger:  # type: ignore[override]
        return self.recorder


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
        self, database: Database, arguments: dict[str, Any], monkeypatch: Any, assets: tuple[str, ...] = ("report",)
    ) -> None:
        self.database = database
        self.awake = asyncio.Event()
        self.awake.set()
        self.trigger = Recorded(**arguments)
        self.trigger.recorder = RecordingLogger()
        if assets:
            self.trigger.asset_state_store = AssetStateStoreAccessors(inlets=[Asset(name) for name in assets])
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", self, raising=False)
        self.yielded: list[dict[str, Any]] = []
        self.has_yielded = asyncio.Event()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._hand_over())]

    @property
    def lines(self) -> list[str]:
        return self.trigger.recorder.lines

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
            await self.awake.wait()  # the runner waits for the response to the events before
            await asyncio.sleep(1)
            self.has_yielded.clear()
            handed, self.yielded = self.yielded, []
            await self.awake.wait()
            self.database.events += handed

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
