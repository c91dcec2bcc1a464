"""Points in a task's life at which it strikes itself, where the driver has asked for that.

Nothing of this is in the provider: the DAG file wraps a few of its functions in the task's own process, and only where
``SAAGIE_CHAOS_FOLDER`` names the folder in which the driver leaves what it asks for: ``RUN.json`` with the point and
what is to be done there. It is done once.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ANSWER_AFTER = 0.25  # seconds after runJob was sent; the driver has its answer take longer


def arm() -> None:
    """Wrap the functions; once a process."""
    folder = os.environ.get("SAAGIE_CHAOS_FOLDER")
    if not folder:
        return
    from requests.adapters import HTTPAdapter

    from airflow_provider_saagie.operators import run_record, submission
    from airflow_provider_saagie.operators.run_job import SaagieRunJobOperator

    if hasattr(SaagieRunJobOperator, "chaos"):
        return
    SaagieRunJobOperator.chaos = True  # type: ignore[attr-defined]
    strike = functools.partial(_strike, Path(folder))

    def stored(context: Any, what: Any) -> str:
        return "store to wait" if what.instance_id else "intent to runJob"

    def sends_a_run(request: Any) -> bool:
        if str(request.url).endswith("/run/"):  # dbt-cloud's
            return True
        return b"runJob" in (request.body if isinstance(request.body, bytes) else (request.body or "").encode())

    _wrap(submission, "take", before=lambda *_, **__: strike("before the intent"))
    _wrap(run_record, "store", after=lambda context, what: strike(stored(context, what)))
    _wrap(SaagieRunJobOperator, "execute_complete", before=lambda *_, **__: strike("at the resume"))
    _wrap(SaagieRunJobOperator, "execute_complete", after=lambda *_, **__: strike("at the end"))

    send = HTTPAdapter.send

    def sending(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        if not sends_a_run(request):
            return send(self, request, *args, **kwargs)
        strike("last look to runJob")
        later = threading.Timer(ANSWER_AFTER, strike, ["runJob to answer"])
        later.daemon = True
        later.start()
        answer = send(self, request, *args, **kwargs)
        later.cancel()
        strike("answer to store")
        return answer

    HTTPAdapter.send = sending  # type: ignore[method-assign]


def _wrap(
    owner: Any, name: str, *, before: Callable[..., None] | None = None, after: Callable[..., None] | None = None
) -> None:
    wrapped = getattr(owner, name)

    @functools.wraps(wrapped)
    def call(*args: Any, **kwargs: Any) -> Any:
        if before:
            before(*args, **kwargs)
        result = wrapped(*args, **kwargs)
        if after:
            after(*args, **kwargs)
        return result

    setattr(owner, name, call)


def _strike(folder: Path, point: str) -> None:
    """Do what was asked for, if it was for this run, task and point."""
    run_id, map_index, try_number = _who()
    asked = folder / f"{run_id}.json"
    with suppress(OSError, ValueError):
        wish = json.loads(asked.read_text())
        if wish["point"] != point or wish["map_index"] != map_index:
            return
        # The rename decides who strikes, should two processes be here at once.
        asked.rename(asked.with_suffix(".taken"))
        me, supervisor = os.getpid(), os.getppid()
        told = {"pid": me, "supervisor": supervisor, "try": try_number, "at": time.time(), **wish}
        with _whole(folder / f"{run_id}.struck") as file:
            file.write_text(json.dumps(told))
        match wish["how"]:
            case "kill":
                os.kill(me, signal.SIGKILL)
            case "kill both":
                os.kill(supervisor, signal.SIGKILL)
                os.kill(me, signal.SIGKILL)
            case "term":
                os.kill(me, signal.SIGTERM)
            case "freeze":
                os.kill(me, signal.SIGSTOP)
            case "freeze supervisor":
                os.kill(supervisor, signal.SIGSTOP)
            case "freeze both":
                os.kill(supervisor, signal.SIGSTOP)
                os.kill(me, signal.SIGSTOP)


@contextmanager
def _whole(path: Path) -> Any:
    """Give a name to write to, that becomes `path` when it is written."""
    part = path.with_suffix(".part")
    yield part
    part.rename(path)


@functools.cache
def _who() -> tuple[str, int, int]:
    from airflow.sdk import get_current_context

    ti = get_current_context()["ti"]
    return ti.run_id, ti.map_index if ti.map_index is not None else -1, ti.try_number
