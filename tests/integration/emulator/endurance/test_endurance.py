"""Test a few kills and some seconds of faults; longer runs are done by hand, see docs/emulator.md."""

from pathlib import Path

import pytest

from tests.integration.emulator.endurance.kills import kill_repeatedly
from tests.integration.emulator.endurance.soak import LEAST_FAULTS, soak


@pytest.mark.long
def test_killed_emulator_loses_no_answered_mutation(tmp_path: Path) -> None:
    tally = kill_repeatedly(tmp_path, times=5, seed=11, most=100)
    assert tally["done, done"] > 50
    assert tally["processes left over"] > 0
    assert tally["instances lost"] > 0


@pytest.mark.long
def test_books_of_clients_and_platform_agree_under_faults(tmp_path: Path) -> None:
    mutations, faults, _ = soak(tmp_path, seconds=8, seed=5)
    assert mutations["done, done"] > 30
    assert sum(faults.values()) >= LEAST_FAULTS
