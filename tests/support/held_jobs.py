"""Jobs of the emulator that run until a test lets them end.

The emulator runs a job as a process of this machine, so a file can hold it: the job prints `started`, then waits for
the file. A test that needs an unfinished instance holds its job, looks at what it wants to see, and releases it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

STARTED = "started"


@dataclass(frozen=True)
class Hold:
    """A file whose existence lets all jobs end that wait for it.

    :param file: the file; it does not exist until `release()`.
    """

    file: Path

    def code(self, then: str = "") -> str:
        """Return a Python job that waits for the release, then runs `then`."""
        return (
            "import pathlib, time\n"
            f"print({STARTED!r}, flush=True)\n"
            f"file = pathlib.Path({str(self.file)!r})\n"
            "while not file.exists():\n"
            "    time.sleep(0.02)\n"
            f"{then}\n"
        )

    def release(self) -> None:
        """Let the jobs end."""
        self.file.touch()
