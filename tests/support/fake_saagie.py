"""A server of a few lines that speaks what the watcher speaks, says what a test wants, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import web

LOGIN, PASSWORD = "airflow", "correct horse"
PROJECT = str(UUID(int=1 << 100))
Row = dict[str, Any] | None


class RowFails(Exception):
    """One instance can't be told of; the text is the platform's."""

    def __init__(self, message: str, classification: str | None = None) -> None:
        super().__init__(message)
        self.classification = classification


@dataclass
class Asked:
    """A GraphQL request that came in."""

    at: float
    operation: str
    ids: list[str]
    peer: tuple[str, int]
    variables: dict[str, Any]


@dataclass
class SmallSaagie:
    """The server's state; a test changes it while it runs."""

    url: str = ""
    password: str = PASSWORD
    tell: Callable[[str, float], Row] = lambda _id, _seconds: row("RUNNING")
    list_job: Callable[[str, float], list[dict[str, Any]] | None] = lambda _id, _seconds: []
    refuse: Callable[[Asked], web.Response | None] = lambda _asked: None
    log_of: Callable[[str, float], list[tuple[str, str]]] = lambda _id, _seconds: []
    asked: list[Asked] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    stop_seconds: float = 0.0
    latency: float = 0.0
    hangs_up: Callable[[float], bool] = lambda _at: False
    longest_page: int = 1_000_000
    tokens: set[str] = field(default_factory=set)
    logins: list[float] = field(default_factory=list)
    began: float = 0.0

    @property
    def looks(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.operation == "watchInstances"]

    @property
    def lists(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.operation == "watchJobs"]

    def now(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    async def log_in(self, request: web.Request) -> web.Response:
        given = await request.json()
        self.logins.append(self.now())
        if given != {"login": LOGIN, "password": self.password}:
            return web.Response(status=401, text="no")
        token = f"token-{len(self.logins)}"
        self.tokens.add(token)
        return web.Response(text=token)

    async def graphql(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return web.Response(status=401)
        body = await request.json()
        peer = request.transport.get_extra_info("peername")  # gone once the client has gone
        await asyncio.sleep(self.latency / 2)
        if self.hangs_up(self.now()) and request.transport:
            request.transport.abort()
        answer = await self._answered(body, peer)
        await asyncio.sleep(self.latency / 2)
        return answer

    async def _answered(self, body: dict[str, Any], peer: tuple[str, int]) -> web.Response:
        ids = [value for name, value in body["variables"].items() if re.fullmatch(r"i\d+", name)]
        name = body["operationName"]
        asked = Asked(self.now(), name, ids, peer, body["variables"])
        self.asked.append(asked)
        refused = self.refuse(asked)
        if refused is not None:
            return refused
        if name == "stopJobInstance":
            await asyncio.sleep(self.stop_seconds)
            self.stopped.append(body["variables"]["jobInstanceId"])
            return web.json_response({"data": {"stopJobInstance": row("KILLING")}})
        if name == "watchLogs":
            return web.json_response(_answer("l", asked, lambda n: self._log(n, asked)))
        if name == "watchJobs":
            return web.json_response(_answer("j", asked, lambda n: self._page(n, asked)))
        return web.json_response(_answer("i", asked, lambda n: self.tell(asked.ids[n], asked.at)))

    def _page(self, n: int, asked: Asked) -> Row:
        instances = self.list_job(asked.ids[n], asked.at)
        if instances is None:
            return None
        skip = asked.variables[f"s{n}"]
        return {
            "project": {"id": PROJECT},
            "instances": instances[skip : skip + min(asked.variables[f"n{n}"], self.longest_page)],
        }

    def _log(self, n: int, asked: Asked) -> Row:
        lines, skip = self.log_of(asked.ids[n], asked.at), asked.variables[f"s{n}"]
        page = lines[skip : skip + min(asked.variables["limit"], self.longest_page)]
        return {"count": len(lines), "content": [{"value": text + "\n", "stream": stream} for stream, text in page]}


def _answer(field: str, asked: Asked, tell: Callable[[int], Row]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    for n, one in enumerate(asked.ids):
        try:
            told = tell(n)
            data[f"{field}{n}"] = told and {**told, "id": one}
        except RowFails as failure:
            data[f"{field}{n}"] = None
            extensions = {"classification": failure.classification} if failure.classification else {}
            errors.append({"message": str(failure), "path": [f"{field}{n}"], "extensions": extensions})
    return {"data": data, "errors": errors} if errors else {"data": data}


def row(status: str, *, age: float = 0.0, **more: Any) -> dict[str, Any]:
    """An instance as the platform tells of it.

    :param age: seconds since it started.
    """
    current = {"status": status, "reason": more.pop("reason", None), "details": more.pop("details", None)}
    started = datetime.now(UTC) - timedelta(seconds=age)
    return {
        "number": 1,
        "jobId": instance(0),
        "startTime": started.isoformat(),
        "endTime": None,
        "history": {"currentStatus": current},
        "runTrigger": {"author": LOGIN},
        "stopTrigger": None,
        **more,
    }


def refusal(message: str) -> web.Response:
    """A document that is refused as a whole."""
    return web.json_response({"errors": [{"message": message}]})


def instance(number: int) -> str:
    return str(UUID(int=number))


@asynccontextmanager
async def small_saagie() -> AsyncIterator[SmallSaagie]:
    state = SmallSaagie(began=asyncio.get_running_loop().time())
    app = web.Application()
    app.router.add_post("/authentication/api/open/authenticate", state.log_in)
    app.router.add_post("/projects/api/platform/1/graphql", state.graphql)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        state.url = "http://{}:{}".format(*runner.addresses[0])
        yield state
    finally:
        await runner.cleanup()


_names = itertools.count()


def connection(url: str, monkeypatch: Any, *, password: str = PASSWORD, conn_id: str | None = None) -> str:
    """Make, or edit, an Airflow connection and give its id."""
    conn_id = conn_id or f"saagie_small_{next(_names)}"
    fields = {"conn_type": "saagie", "host": url, "login": LOGIN, "password": password}
    extra = {"realm": "local", "platform_id": 1, "timeout": 20}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({**fields, "extra": extra}))
    return conn_id
