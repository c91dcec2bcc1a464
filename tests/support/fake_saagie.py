"""A fake Saagie in the test's event loop: it answers what the watcher sends as a test scripts it, and records it."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
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
HOUR = 3600.0
Row = dict[str, Any] | None


class ItemError(Exception):
    """An error for one item of a batch: the platform's text, and a classification or none."""

    def __init__(self, message: str, classification: str = "") -> None:
        super().__init__(message)
        self.classification = classification


@dataclass
class Request:
    """A GraphQL request; `at` is in seconds since the server's start."""

    at: float
    operation: str
    ids: list[str]
    peer: tuple[str, int]
    variables: dict[str, Any]
    user_agent: str


def instance(number: int) -> str:
    return str(UUID(int=number))


JOB = instance(10**9)


def row(status: str, *, age: float = 0.0, reason: Any = None, details: Any = None, **more: Any) -> dict[str, Any]:
    """An instance as the platform answers.

    :param age: seconds since it started; from an hour on the start is always the same, so that records can be kept.
    """
    current = {"status": status, "reason": reason, "details": details, "recordAt": None}
    started = datetime.now(UTC) - timedelta(seconds=age) if age < HOUR else datetime(2020, 1, 1, tzinfo=UTC)
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


def ends_at(end: float, status: str = "SUCCEEDED") -> Callable[[str, float], Row]:
    """Make every instance an old one that ends then; the result is a `FakeSaagie.get_instance`."""
    return lambda _id, at: row("RUNNING" if at < end else status, age=HOUR)


def refusal(message: str) -> web.Response:
    """The answer to a document that is refused as a whole."""
    return web.json_response({"errors": [{"message": message}]})


def fails(
    status: int, since: float = 0.0, until: float = math.inf, *, operation: str = "", retry_after: int | None = None
) -> Callable[[Request], web.Response | None]:
    """Answer with an HTTP status for a while; the result is a `FakeSaagie.intercept`."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    def intercept(request: Request) -> web.Response | None:
        is_on = since <= request.at < until and operation in ("", request.operation)
        return web.Response(status=status, headers=headers) if is_on else None

    return intercept


@dataclass
class FakeSaagie:
    """The server's state, which a test changes while it runs."""

    url: str = ""
    password: str = PASSWORD
    get_instance: Callable[[str, float], Row] = field(default_factory=lambda: ends_at(math.inf))
    list_instances: Callable[[str, float], list[dict[str, Any]] | None] = lambda _id, _at: []
    get_log: Callable[[str, float], list[tuple[str, str]]] = lambda _id, _at: []
    intercept: Callable[[Request], web.Response | None] = lambda _request: None
    drops_connection: Callable[[float], bool] = lambda _at: False
    latency: float = 0.0
    stop_seconds: float = 0.0
    longest_page: int = 1_000_000
    counts_lines: bool = True
    requests: list[Request] = field(default_factory=list)
    logins: list[float] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    began: float = 0.0
    connections: Callable[[], int] = lambda: 0

    @property
    def polls(self) -> list[Request]:
        """The requests for instances."""
        return [request for request in self.requests if request.operation == "watchInstances"]

    @property
    def job_polls(self) -> list[Request]:
        return [request for request in self.requests if request.operation == "watchJobs"]

    @property
    def log_polls(self) -> list[Request]:
        return [request for request in self.requests if request.operation == "watchLogs"]

    def now(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    def change_password(self, password: str = "changed") -> None:
        """Let neither the former password nor a token be valid any more."""
        self.password = password
        self.tokens.clear()

    async def log_in(self, request: web.Request) -> web.Response:
        credentials = await request.json()
        self.logins.append(self.now())
        if credentials != {"login": LOGIN, "password": self.password}:
            return web.Response(status=401, text="no")
        token = f"token-{len(self.logins)}"
        self.tokens.add(token)
        return web.Response(text=token)

    async def graphql(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return web.Response(status=401)
        body = await request.json()
        peer = request.transport.get_extra_info("peername")  # unknown once the client has gone
        await asyncio.sleep(self.latency / 2)
        if self.drops_connection(self.now()) and request.transport:
            request.transport.abort()
        response = await self._respond(body, peer, request.headers["User-Agent"])
        await asyncio.sleep(self.latency / 2)
        return response

    async def _respond(self, body: dict[str, Any], peer: tuple[str, int], user_agent: str) -> web.Response:
        variables = body["variables"]
        ids = [value for name, value in variables.items() if re.fullmatch(r"i\d+", name)]
        request = Request(self.now(), body["operationName"], ids, peer, variables, user_agent)
        self.requests.append(request)
        if response := self.intercept(request):
            return response
        match request.operation:
            case "stopJobInstance":
                await asyncio.sleep(self.stop_seconds)
                self.stopped.append(variables["jobInstanceId"])
                return web.json_response({"data": {"stopJobInstance": row("KILLING")}})
            case "watchLogs":
                return _batch_response("l", ids, lambda n: self._log(n, request))
            case "watchJobs":
                return _batch_response("j", ids, lambda n: self._page(n, request))
            case _:
                return _batch_response("i", ids, lambda n: self.get_instance(ids[n], request.at))

    def _page(self, n: int, request: Request) -> Row:
        instances = self.list_instances(request.ids[n], request.at)
        if instances is None:
            return None
        skip, limit = request.variables[f"s{n}"], min(request.variables[f"n{n}"], self.longest_page)
        return {"project": {"id": PROJECT}, "instances": instances[skip : skip + limit]}

    def _log(self, n: int, request: Request) -> Row:
        lines, skip = self.get_log(request.ids[n], request.at), request.variables[f"s{n}"]
        page = lines[skip : skip + min(request.variables["limit"], self.longest_page)]
        content = [{"value": text + "\n", "stream": stream} for stream, text in page]
        return {"count": len(lines) if self.counts_lines else None, "content": content}


def _batch_response(alias: str, ids: list[str], get_item: Callable[[int], Row]) -> web.Response:
    data: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    for n, item_id in enumerate(ids):
        name = f"{alias}{n}"
        try:
            item = get_item(n)
            data[name] = item and {**item, "id": item_id}
        except ItemError as error:
            data[name] = None
            extensions = {"classification": error.classification} if error.classification else {}
            errors.append({"message": str(error), "path": [name], "extensions": extensions})
    return web.json_response({"data": data, "errors": errors} if errors else {"data": data})


@asynccontextmanager
async def fake_saagie(state: FakeSaagie) -> AsyncIterator[None]:
    """Serve a fake Saagie in the running loop."""
    state.began = asyncio.get_running_loop().time()
    app = web.Application()
    app.router.add_post("/authentication/api/open/authenticate", state.log_in)
    app.router.add_post("/projects/api/platform/1/graphql", state.graphql)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    state.connections = lambda: len(runner.server.connections) if runner.server else 0
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        state.url = "http://{}:{}".format(*runner.addresses[0])
        yield
    finally:
        await runner.cleanup()


_names = itertools.count()


def connection(url: str, monkeypatch: Any, *, password: str = PASSWORD, conn_id: str | None = None) -> str:
    """Make, or edit, an Airflow connection and return its id."""
    conn_id = conn_id or f"fake_saagie_{next(_names)}"
    fields = {"conn_type": "saagie", "host": url, "login": LOGIN, "password": password}
    extra = {"realm": "local", "platform_id": 1, "timeout": 20}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({**fields, "extra": extra}))
    return conn_id
