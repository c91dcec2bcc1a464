"""A few kills; many are done by hand, see docs/emulator.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.emulator.endurance.kills import kill_repeatedly

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.long
def test_kill_9_under_load_loses_no_answered_mutation_and_leaves_none_half_done(tmp_path: Path) -> None:
    tally = kill_repeatedly(tmp_path / "data", times=5, seed=11, longest=1.0)
    assert tally.mutations["done, done"] > 50
    assert tally.left_over > 0
    assert tally.lost
