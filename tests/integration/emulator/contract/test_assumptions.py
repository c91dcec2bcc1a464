"""`make contract`, on the emulator: every check holds, names rows that exist, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_saagie.client.saagie import SaagieClient
from scripts import contract
from tests.unit.client.conftest import settings_for

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator

ROWS = re.findall(
    r"^\| (.+?) \|", (Path(__file__).resolve().parents[4] / "docs/assumptions.md").read_text(), re.MULTILINE
)


def test_the_emulator_is_as_we_assume_saagie_to_be(emulator: Emulator) -> None:
    said: list[str] = []
    assert asyncio.run(contract.check(settings_for(emulator), None, said.append)) == []
    assert "makes and deletes the project" in said[1]
    assert not [line for line in said if "DIFFERS" in line]
    with SaagieClient(settings_for(emulator)) as client:
        assert "contract" not in str(client.session.run(_projects()))


def test_a_platform_that_differs_is_told_and_cleaned_up(emulator: Emulator) -> None:
    emulator.fault("error", "filteredLogs", times=0, message="no logs today")
    said: list[str] = []
    differs = asyncio.run(contract.check(settings_for(emulator), "Demo", said.append))
    assert [line.split(":")[0] for line in differs] == ["_read_logs"]
    assert any("no logs today" in line for line in said)
    emulator.clear_faults()
    with SaagieClient(settings_for(emulator)) as client:
        names = [job["name"] for job in client.jobs.list_for_project_minimal(client.get_project_id("Demo"))["jobs"]]
    assert not [name for name in names if name.startswith("contract ")]


def test_an_answer_that_can_not_be_read_differs_too_and_the_other_checks_go_on(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable(at: contract.Platform) -> None:
        datetime.fromisoformat("yesterday")

    monkeypatch.setattr(contract, "CHECKS", [(("`startTime` and",), unreadable), contract.CHECKS[0]])
    said: list[str] = []
    differs = asyncio.run(contract.check(settings_for(emulator), "Demo", said.append))
    assert differs == ["unreadable: Invalid isoformat string: 'yesterday'"]
    assert said[-1] == "2 checks, 1 differ."


def test_every_check_names_rows_of_the_assumptions() -> None:
    for assumptions, check in contract.CHECKS:
        for assumption in assumptions:
            assert sum(row.startswith(assumption) for row in ROWS) == 1, (check.__name__, assumption)


def _projects():
    from airflow_provider_saagie.client.calls import Call

    return (yield Call("projects"))
