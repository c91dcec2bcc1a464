"""What a task in a worker knows of Airflow having given its try up, though nobody wanted it to end.

Where a retry comes, it takes up the instance of the try that was given up, which must then be left to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_provider_saagie import airflow_compat
from airflow_provider_saagie.airflow_health import ApiServer
from airflow_provider_saagie.operators import pulse

__all__ = ["Signs", "watching"]


@dataclass(frozen=True)
class Signs:
    """The signs of a try that has a retry; both questions may be asked in a signal handler."""

    pulse: pulse.Pulse
    api_server: ApiServer

    def stood_still(self) -> str | None:
        """Tell that a retry may have begun while this process stood still; None where it did not."""
        stillness = self.pulse.stillness()
        if not stillness:
            return None
        return (
            f"This process, or Airflow's beside it, stood still for {stillness:.0f} s. Airflow may have begun a retry "
            "meanwhile, which takes the instance up: it is left."
        )

    def heartbeats_fail(self) -> str | None:
        """Tell that a task which is told to end just now is so since its heartbeats fail; None where it is not."""
        trouble = self.api_server.trouble()
        if not trouble:
            return None
        return (
            f"The task was told to end, and Airflow's API server {trouble}. Airflow ends tasks whose heartbeats fail, "
            "and retries them later: the retry takes the instance up, which is left. If it was you who ended the "
            "task, stop the instance in Saagie too."
        )


@contextmanager
def watching(is_retried: bool) -> Iterator[Signs | None]:
    """Watch for signs for the length of a block; without a retry there is nobody to leave an instance to."""
    if not is_retried:
        yield None
        return
    server = ApiServer(airflow_compat.api_server_url())
    with pulse.beating(server.get_known) as beats:
        yield Signs(beats, server)
