"""A process that answers for Saagie, dbt Cloud, Databricks and Airbyte, over https, with prepared bytes, and counts.

``POST /control/plan`` tells it when which run ends; ``GET /control/counts`` asks what it has counted.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trustme
import uvloop
from aiohttp import web

from benchmarks.polling import formats
from benchmarks.polling.plan import Plan

__all__ = ["READY"]

READY = "listening on "
ADDRESS = "127.0.0.1"
RUN_OF_PATH = re.compile(r"/(\d+)/?$")
NEVER = float("inf")
NO_PLAN = Plan(1, 1, 0, 0, 0, 0, 0)


class Counting(web.Server):
    """Counts the connections, each of which asks for a protocol of its own."""

    connections = 0

    def __call__(self) -> Any:
        """Give the protocol of a new connection."""
        self.connections += 1
        return super().__call__()


class Platform:
    """The table of runs and the counts."""

    def __init__(self) -> None:
        self.requests = 0
        self.looks = 0
        self.take(NO_PLAN)
        self.official = formats.official_row(over=False), formats.official_row(over=True)
        self.schema = formats.introspection()

    def take(self, plan: Plan) -> None:
        """Begin a measurement."""
        self.plan, self.requests, self.looks = plan, 0, 0
        epoch = time.time() - time.monotonic()
        started = [epoch + (plan.start_of(n) if plan.young else plan.began - plan.age) for n in range(plan.count)]
        self.rows = (
            [formats.saagie_row(at, over=False) for at in started],
            [formats.saagie_row(at, over=True) for at in started],
        )

    def is_over(self, n: int) -> bool:
        """Say whether a run has ended, as all have where there is no plan; that is a look."""
        self.looks += 1
        return self.plan is NO_PLAN or time.monotonic() >= self.plan.ends.get(n, NEVER)

    def one(self, n: int, answers: tuple[tuple[bytes, ...], tuple[bytes, ...]]) -> bytes:
        """Answer about one run."""
        return str(n).encode().join(answers[self.is_over(n)])

    def graphql(self, body: dict[str, Any]) -> bytes:
        """Answer the watcher's document, or one of the official client's."""
        query, variables = body["query"], body.get("variables") or {}
        if body.get("operationName") == "watchInstances":
            return b'{"data":{' + b",".join(self._row(name, given) for name, given in variables.items()) + b"}}"
        if "jobInstance(id" in query:
            given = variables["jobInstanceId"]
            return f'"{given}"'.encode().join(self.official[self.is_over(int(given[-12:]))])
        return self.schema

    def _row(self, name: str, given: str) -> bytes:
        n = int(given[-12:])
        return f'"{name}":{{"id":"{given}"'.encode() + self.rows[self.is_over(n)][n]


def router(platform: Platform, connections: Callable[[], int]) -> Callable[[web.BaseRequest], Any]:
    """Give the function that answers a request."""

    async def answer(request: web.BaseRequest) -> web.Response:
        path = "/" + request.path.lstrip("/")  # the official client writes two
        content = await request.read()
        if path == "/control/plan":
            platform.take(Plan.from_text(content.decode()))
            return web.Response()
        if path == "/control/counts":
            counts = {"requests": platform.requests, "looks": platform.looks, "connections": connections()}
            return web.json_response({**counts, "cpu": time.process_time(), "at": time.monotonic()})
        platform.requests += 1
        if path.endswith("/authenticate"):
            return web.Response(text="a-token")
        if path.endswith("/graphql"):
            body = platform.graphql(json.loads(content))
        elif path.startswith("/api/v2/accounts/"):
            body = platform.one(int(RUN_OF_PATH.search(path)[1]), formats.DBT_CLOUD)  # type: ignore[index]  # they match
        elif path.endswith("/jobs/runs/get"):
            n = int(request.query["run_id"] if "run_id" in request.query else json.loads(content)["run_id"])
            body = platform.one(n, formats.DATABRICKS)
        elif path.startswith("/jobs/"):
            body = platform.one(int(RUN_OF_PATH.search(path)[1]), formats.AIRBYTE)  # type: ignore[index]  # as above
        else:
            return web.Response(status=404)
        return web.Response(body=body, content_type="application/json")

    return answer


async def serve(folder: Path) -> None:
    """Serve until killed.

    :param folder: where the authority's certificate is written.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(ADDRESS).configure_cert(tls)
    server: Counting
    server = Counting(router(Platform(), lambda: server.connections))
    listening = await asyncio.get_running_loop().create_server(server, ADDRESS, 0, ssl=tls, backlog=4096)
    print(f"{READY}https://{ADDRESS}:{listening.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
