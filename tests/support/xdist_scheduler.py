"""Which tests stay together in one process of a parallel run, since what they share is costly.

xdist's own groups (`--dist loadgroup`) do nothing under pytest 9.2: they are written where pytest reads them no longer.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    "tests/system/stack/": "the shared Airflow",
    "tests/tools/test_stack.py": "the shared Airflow",
    "tests/integration/browser/test_connection_form.py": "the shared Airflow",
    "tests/integration/browser/test_quickstart.py": "the shared Airflow",
    "tests/integration/browser/test_waiting_and_failing.py": "the shared Airflow",
    "tests/integration/emulator/contract/test_side_by_side.py": "the calls that are played once",
    "tests/integration/package/": "the built package and the environment that it is installed into",
}


def group_of(nodeid: str) -> str:
    """Give the group of a test; most are each their own."""
    return next((group for beginning, group in TOGETHER.items() if nodeid.startswith(beginning)), nodeid)


class Together(LoadScopeScheduling):
    """Hands out tests one by one, and groups as a whole; the largest first."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    """Give xdist our scheduler, whatever ``--dist`` says."""
    return Together(config, log)  # type: ignore[arg-type]  # xdist leaves its producer untyped


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See to it that no test starts an Airflow of its own by standing in another folder."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()) and group_of(item.nodeid) != "the shared Airflow":
            raise pytest.UsageError(f"{item.nodeid} uses the shared Airflow: name its file in {__name__}.")
