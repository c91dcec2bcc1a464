"""Jobs that come to whatever end their command line tells: they ask the emulator for it, once their lines are kept."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_saagie.emulator.testing import Emulator

LAST_WORDS = "what it said last"
CODE = f"""
import json, os, sys, time, urllib.request
url, status, reason, details, seconds = sys.argv[1:]
mine = url + "/emulator/instances/" + os.environ["SAAGIE_JOB_INSTANCE_ID"]
print("what it said first", flush=True)
print({LAST_WORDS!r}, file=sys.stderr, flush=True)
while {LAST_WORDS!r} not in urllib.request.urlopen(mine + "/log").read().decode():
    time.sleep(0.02)
time.sleep(float(seconds))
body = json.dumps({{"status": status, "reason": reason or None, "details": details or None}}).encode()
urllib.request.urlopen(urllib.request.Request(mine, data=body, headers={{"Content-Type": "application/json"}}))
time.sleep(60)
"""


def job_that_ends(
    make_job: Callable[..., str],
    emulator: Emulator,
    status: str,
    reason: str | None = None,
    *,
    details: str = "",
    seconds: float = 0.0,
    name: str | None = None,
) -> str:
    """Make a job that comes to a status, soon after its start, and give its id.

    :param seconds: how long it runs at least.
    """
    told = shlex.join([emulator.url, status, reason or "", details, str(seconds)])
    more = {"job_name": name} if name else {}
    return make_job(CODE, command_line=f"python {{file}} {told}", **more)
