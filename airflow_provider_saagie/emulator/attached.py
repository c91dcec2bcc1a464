"""An emulator that ends when the one who started it is gone, however that ended: when its standard input is closed."""

from __future__ import annotations

import os
import signal
import sys
import threading

from airflow_provider_saagie.emulator.cli import main


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    main()
