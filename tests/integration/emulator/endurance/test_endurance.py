"""Test a few kills and some seconds of faults; longer runs are done by hand, see docs/emulator.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.emulator.endurance.kills import kill_repeatedly
from tests.integration.emulator.endurance.soak import LEAST_FAULTS, soak

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.long
def test_killed_emulator_loses_no_answered_mutation(tmp_path: Path) -> None:
    tally = kill_repeatedly(tmp_path, times=5, seed=11, most=100)
    assert tally.mutations["done, done"] > 50
    assert tally.left_over > 0
    assert tally.lost


@pytest.mark.long
def test_books_of_clients_and_platform_agree_under_faults(tmp_path: Path) -> None:
    result = soak(tmp_path, seconds=8, seed=5)
    assert result.mutations["done, done"] > 30
    assert sum(result.faults.values()) >= LEAST_FAULTS
