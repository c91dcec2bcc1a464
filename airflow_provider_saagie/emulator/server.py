"""Runs the app: one uvicorn process on a socket that is bound before anything else is done."""

from __future__ import annotations

import gc
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

    from airflow_provider_saagie.emulator.stats import Stats


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket; who calls from now on waits until requests are answered.

    :param host: an address or a name.
    :param port: a port; 0 for any that is free.
    :return: the socket.
    :raises OSError: where the port is taken or the address isn't ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen()  # until then, another emulator that starts just now could bind the same port
    except OSError:
        bound.close()
        raise
    bound.set_inheritable(False)
    return bound


def serve(app: Starlette, bound: socket.socket, when_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    :param app: the app.
    :param bound: what `bind` returned.
    :param when_ready: called once, when requests are answered.
    """
    config = uvicorn.Config(
        app,
        ws="none",
        http=_protocol(app.state.parts.stats),
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=60,
    )
    # What a start has loaded stays for good: looking through it again and again for garbage costs tens of milliseconds.
    gc.collect()
    gc.freeze()
    _Server(config, when_ready).run(sockets=[bound])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._when_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down on a signal. Uvicorn raises it once more afterwards; here it means success."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _protocol(stats: Stats) -> type[asyncio.Protocol]:
    class CountedProtocol(AutoHTTPProtocol):  # type: ignore[valid-type,misc]  # which class it is depends on httptools
        """Counts connections, and lets a fault close its own: ASGI itself has no way to."""

        app_state: dict[str, Any]

        def connection_made(self, transport: asyncio.Transport) -> None:
            stats.connections += 1
            self.app_state = {**self.app_state, "transport": transport}
            super().connection_made(transport)

    return CountedProtocol
