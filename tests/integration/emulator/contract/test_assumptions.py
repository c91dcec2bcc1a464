"""Test `make contract` on the emulator: checks hold, name rows of the docs, and leave nothing behind."""

import asyncio
import re
from datetime import datetime

import pytest

from airflow_provider_saagie.emulator.testing import Emulator
from scripts import contract
from tests.support.clients import settings_for
from tests.support.pages import DOCS

NAMES = "{ projects { name jobs { name } } }"


def check(emulator: Emulator, project: str | None) -> tuple[list[str], list[str]]:
    """Return the checks that differ, and the report."""
    report: list[str] = []
    return asyncio.run(contract.check(settings_for(emulator), project, report.append)), report


def test_emulator_meets_all_assumptions(emulator: Emulator) -> None:
    differing, report = check(emulator, None)
    assert differing == []
    assert "makes and deletes the project" in report[1]
    assert not [line for line in report if "DIFFERS" in line]
    assert emulator.graphql(NAMES)["projects"] == [{"name": "Demo", "jobs": []}]


def test_difference_is_reported_and_cleaned_up(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that can't be read differs too, and the other checks go on."""

    async def unreadable(_: contract.Platform) -> None:
        datetime.fromisoformat("yesterday")

    checks = [(("`startTime` and",), unreadable), *contract.CHECKS]
    monkeypatch.setattr(contract, "CHECKS", checks)
    emulator.fault("error", "filteredLogs", times=0, message="no logs today")
    differing, report = check(emulator, "Demo")
    assert differing[0] == "unreadable: Invalid isoformat string: 'yesterday'"
    assert [line.split(":")[0] for line in differing] == ["unreadable", "_read_logs"]
    assert any("no logs today" in line for line in report)
    assert report[-1] == f"{len(checks)} checks, 2 differ."
    assert emulator.graphql(NAMES)["projects"] == [{"name": "Demo", "jobs": []}]


def test_checks_name_rows_of_the_docs() -> None:
    rows = re.findall(r"^\| (.+?) \|", (DOCS / "assumptions.md").read_text(), re.MULTILINE)
    for assumptions, function in contract.CHECKS:
        for assumption in assumptions:
            assert sum(row.startswith(assumption) for row in rows) == 1, (function.__name__, assumption)
