"""Refuses what a browser of a stranger's page could send: foreign Host headers, form posts, endless bodies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from airflow_provider_saagie.emulator.web.requests import JSON, UPLOAD, media_type

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_saagie.emulator.settings import Settings

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_JSON_LIMIT = 10 << 20
_MULTIPART_ROOM = 10 << 20  # beside the file itself


class Guard:
    """An ASGI middleware in front of everything.

    :param app: what is guarded.
    :param settings: how the emulator is set up.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["path"] = re.sub("/{2,}", "/", scope["path"])  # the official client joins URLs with two slashes
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        limit = self._body_limit(headers)
        taken = 0

        async def receive_some() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise BodyTooLargeError
            return message

        try:
            await self._app(scope, receive_some, send)
        except ClientDisconnect:
            return  # it went away in the midst of what it sent: nobody is left to be answered
        except BodyTooLargeError:
            await refused(413, f"The body is larger than {limit} bytes")(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        if not self._is_our_name(host):
            return refused(403, f"The emulator is not known as {host[:100]!r}: see --allow-remote")
        if scope["method"] in ("POST", "PUT", "PATCH") and media_type(headers) not in (JSON, UPLOAD):
            return refused(415, "Only application/json and multipart/form-data are taken")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._body_limit(headers):
            return refused(413, f"The body is larger than {self._body_limit(headers)} bytes")
        return None

    def _is_our_name(self, host: str) -> bool:
        name, _, port = host.rpartition(":") if re.search(r":[0-9]{1,5}$", host) else (host, "", "")
        if name.lower() in self._settings.allow_remote:
            return True
        return name.lower() in _LOOPBACK and self._settings.port in (None, int(port or 80))

    def _body_limit(self, headers: Headers) -> int:
        return self._settings.upload_limit + _MULTIPART_ROOM if media_type(headers) == UPLOAD else _JSON_LIMIT


class BodyTooLargeError(Exception):
    """More came than the limit allows."""


def refused(status: int, message: str) -> JSONResponse:
    """Answer with an error outside of GraphQL.

    :param status: the HTTP status.
    :param message: what is wrong.
    :return: the answer, as JSON.
    """
    return JSONResponse({"error": message, "status": status}, status_code=status)
