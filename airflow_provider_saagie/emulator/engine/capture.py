"""Reads what a process writes, as it writes it."""

from __future__ import annotations

import os
import selectors
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.engine.log_writer import LogWriter
    from airflow_provider_saagie.emulator.engine.process import JobProcess

_CHUNK = 1 << 16
_LOOK_EVERY = 0.2  # seconds between looks at the clock and at the process while nothing is written
_LINGER = 1.0  # seconds for what a child that left the group may still write


def capture(process: JobProcess, writer: LogWriter, limit: float | None) -> bool:
    """Pass a process's output on until it has ended, line by line, in order of arrival.

    :param process: the process.
    :param writer: where the lines go.
    :param limit: how many seconds the process may take.
    :return: False where it took longer and was killed.
    """
    deadline = None if limit is None else time.monotonic() + limit
    in_time, ended_at = True, None
    with selectors.DefaultSelector() as selector:
        for pipe, stream in zip(process.pipes, ("STDOUT", "STDERR"), strict=True):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, stream)
        while selector.get_map() or not process.has_ended():
            if not selector.get_map():
                process.ends_within(_LOOK_EVERY)  # it has closed its output, and goes on
            for key, _ in selector.select(_LOOK_EVERY if selector.get_map() else 0):
                chunk = os.read(key.fd, _CHUNK)
                if chunk:
                    writer.write(key.data, chunk)
                else:
                    selector.unregister(key.fileobj)
            # Looked at once more while nothing waits, the selector forgets who was ready first; what arrives during a
            # write to the disk then comes out in the order in which it came.
            writer.flush(idle=not selector.select(0))
            now = time.monotonic()
            if deadline is not None and now > deadline and in_time:
                in_time = False
                process.kill()
            if process.kill_at is not None and now > process.kill_at:
                process.kill()
            if process.has_ended():
                if ended_at is None:
                    ended_at = now
                    process.kill()  # what its children still do has no end that anybody waits for
                if now - ended_at > _LINGER:
                    break
    for pipe in process.pipes:
        pipe.close()
    return in_time
