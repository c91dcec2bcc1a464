"""A job's process, in a session of its own so that its children end with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.engine.workspace import Workspace


class JobProcess:
    """A running job.

    :param place: where and how to run it.
    """

    def __init__(self, place: Workspace) -> None:
        self._lock = threading.Lock()
        self._kill_at: float | None = None
        self.forgotten = False  # somebody else decides what its instance ends as
        self._popen = subprocess.Popen(  # noqa: S603, running what was uploaded is what the emulator is for
            ["/bin/bash", "-c", place.command],
            cwd=place.folder,
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Its output and its error output."""
        assert self._popen.stdout is not None  # noqa: S101, they were asked for
        assert self._popen.stderr is not None  # noqa: S101
        return self._popen.stdout, self._popen.stderr

    @property
    def kill_at(self) -> float | None:
        """When it has to be killed, by the monotonic clock, if ever."""
        return self._kill_at

    def has_ended(self) -> bool:
        """Tell whether the process that was started is over; its children may still run.

        :return: True where it is.
        """
        return self._popen.poll() is not None

    def ends_within(self, seconds: float) -> bool:
        """Wait for the end of the process that was started.

        :param seconds: how long at most.
        :return: True where it is over.
        """
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, patience: float) -> None:
        """Ask it, and its children, to end.

        :param patience: how many seconds until it may be killed.
        """
        with self._lock:
            if self._kill_at is None:
                self._kill_at = time.monotonic() + patience
                self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, and its children, now."""
        with self._lock:
            self._kill_at = time.monotonic()
            self._signal(signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end.

        :return: its exit code; 128 and the signal's number where a signal ended it, as a shell counts.
        """
        code = self._popen.wait()
        return code if code >= 0 else 128 - code

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # The group keeps its id as long as anything is left of it.
            os.killpg(self._popen.pid, number)
