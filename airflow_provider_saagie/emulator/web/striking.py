"""Answers a request, or lets a fault strike it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message, Receive, Scope, Send

    from airflow_provider_saagie.emulator.faults import Fault

UNDONE = frozenset({"refuse", "status", "error", "expire", "garbage", "redirect", "outage"})

_BODILESS = (204, 205, 304)  # HTTP allows them no body


async def answer(fault: Fault | None, work: Callable[[], Awaitable[Response]]) -> Response:
    """Do the work and answer, unless a fault has it otherwise.

    :param fault: the fault that strikes it, if one does.
    :param work: does what was asked for.
    :return: the answer.
    """
    if fault is None:
        return await work()
    options = fault.options
    if fault.what in UNDONE:
        return _instead(fault, options)
    if fault.what == "delay" and options["when"] == "before":
        await asyncio.sleep(options["seconds"])
    done = await work()
    if fault.what == "delay" and options["when"] == "after":
        await asyncio.sleep(options["seconds"])
    if fault.what == "drop":
        return HungUp()
    return HungUp(half_of=done) if fault.what == "cut" else done


def _instead(fault: Fault, options: dict[str, Any]) -> Response:
    match fault.what:
        case "status":
            headers = {} if options["retry_after"] is None else {"Retry-After": str(options["retry_after"])}
            body = "" if options["status"] in _BODILESS else options["body"]
            return Response(body, options["status"], headers, media_type="text/plain")
        case "error":
            error = {
                "message": options["message"],
                "path": None,
                "locations": [],
                "extensions": {"classification": options["classification"]},
            }
            return JSONResponse({"errors": [error], "data": None})
        case "expire":
            return JSONResponse({"error": "The token is not valid", "status": 401}, 401)
        case "garbage":
            return Response(options["body"], media_type="text/html")
        case "redirect":
            return Response(status_code=options["status"], headers={"Location": options["location"]})
        case _:
            return HungUp()


class HungUp(Response):
    """No answer: the connection is closed.

    :param half_of: send the first half of this before.
    """

    def __init__(self, half_of: Response | None = None) -> None:
        super().__init__()
        self._half_of = half_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is to send, and close."""
        transport = scope["state"].get("transport")
        if self._half_of is not None:
            await self._half_of(scope, receive, _half(send))
        if transport is not None:
            transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


def _half(send: Send) -> Send:
    """Send the first half of an answer's body, whether it comes whole or, as a file does, in pieces."""
    left = 0

    async def send_half(message: Message) -> None:
        nonlocal left
        if message["type"] == "http.response.start":
            left = int(Headers(raw=message["headers"])["content-length"]) // 2
            await send(message)
            return
        body = message.get("body", b"")[:left]
        left -= len(body)
        await send({**message, "body": body, "more_body": True})

    return send_half
