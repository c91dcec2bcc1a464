"""Keep tests that share something costly in one process of a parallel run.

xdist's own groups (`--dist loadgroup`) have no effect under pytest 9.2, which no longer reads what they set.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

# Beginnings of node ids: what shares the Airflow, the browser and its emulator, the built package, the played calls.
GROUPS = (
    "tests/system/stack/",
    "tests/integration/package/",
    "tests/integration/browser/test_emulator_pages.py",
    "tests/integration/browser/test_site.py",
    "tests/integration/emulator/contract/test_side_by_side.py",
)


def group_of(nodeid: str) -> str:
    """Return the group of a test; most are a group of their own."""
    return next((group for group in GROUPS if nodeid.startswith(group)), nodeid)


class Together(LoadScopeScheduling):
    """Distributes groups as a whole, the largest first, and all other tests one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    """Use this scheduler, whatever ``--dist`` says."""
    return Together(config, log)  # type: ignore[arg-type]  # xdist leaves its producer untyped


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test in another folder that would start an Airflow of its own."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()) and group_of(item.nodeid) != "tests/system/stack/":
            raise pytest.UsageError(f"{item.nodeid} uses the shared Airflow: move it to tests/system/stack/.")
