"""Some seconds of work under faults; ten minutes are done by hand, see docs/emulator.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.emulator.endurance.soak import soak

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.long
def test_the_books_of_clients_and_platform_agree_whatever_struck(tmp_path: Path) -> None:
    result = soak(tmp_path / "data", seconds=8, seed=5)
    assert result.mutations["done, done"] > 30
    assert sum(result.faults.values()) > 3
