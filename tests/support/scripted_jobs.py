"""Jobs that come to the end that their command line names: they ask the emulator for it, once it has their log."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from airflow_provider_saagie.emulator.testing import Emulator

FIRST_LINE, LAST_LINE = "the first line", "the last line"
CODE = f"""
import json, os, sys, time, urllib.request
url, status, reason, details = sys.argv[1:]
instance = url + "/emulator/instances/" + os.environ["SAAGIE_JOB_INSTANCE_ID"]
print({FIRST_LINE!r}, flush=True)
print({LAST_LINE!r}, file=sys.stderr, flush=True)
while {LAST_LINE!r} not in urllib.request.urlopen(instance + "/log").read().decode():
    time.sleep(0.02)
body = json.dumps({{"status": status, "reason": reason or None, "details": details or None}}).encode()
urllib.request.urlopen(urllib.request.Request(instance, data=body, headers={{"Content-Type": "application/json"}}))
time.sleep(60)  # the emulator ends it
"""


def job_that_ends(
    make_job: Callable[..., str], emulator: Emulator, status: str, reason: str | None = None, *, details: str = ""
) -> str:
    """Create a job that comes to a status soon after its start, and return its id."""
    arguments = shlex.join([emulator.url, status, reason or "", details])
    return make_job(CODE, command_line=f"python {{file}} {arguments}")
