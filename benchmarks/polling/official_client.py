"""The official client's way to wait, a thread for each run.

Its ``run_with_callback`` can't wait in two threads of a process: the second one's spinner raises rich's ``LiveError``.
So the threads do what its loop does, ``get_instance`` and a sleep, without the spinner. Each has a client of its own,
since one client serves one thread at a time; they share the schema, which is asked for and read once.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable

from benchmarks.polling.plan import Address, instance_id

__all__ = ["prepare"]


def prepare(address: Address) -> Callable[[int, float], None]:
    """Give the way to wait."""
    from saagieapi import SaagieApi

    warnings.simplefilter("ignore")  # it does not verify TLS, and says so at each request

    def log_in() -> SaagieApi:
        return SaagieApi(address.url, 1, "airflow", "secret", "acme")

    first = log_in()
    first.jobs.get_instance(instance_id(0), pprint_result=False)
    schema = first.client.client.schema
    logging_in = threading.Lock()

    def wait(n: int, poll_interval: float) -> None:
        with logging_in:
            client = log_in()
        client.client.client.schema = schema
        while client.jobs.get_instance(instance_id(n), pprint_result=False)["jobInstance"]["status"] != "SUCCEEDED":
            time.sleep(poll_interval)

    return wait
