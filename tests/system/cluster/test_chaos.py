"""A short chaos: ten strikes at a real cluster, one of each kind that matters, and the books balance."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts.backends import prepare
from scripts.processes import StackError
from tests.system.cluster import report
from tests.system.cluster.plan import Case, Strike
from tests.system.cluster.scene import scene
from tests.system.cluster.striker import Striker

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

FROZEN = Case(1, "waiting", Strike("task", "freeze both", None, "it waits", 1.0, hold=2.0, until_retry=True))
CASES = (
    FROZEN,
    Case(2, "deferred", Strike("task", "kill both", "intent to runJob")),
    Case(3, "waiting", Strike("task", "kill both", "runJob to answer")),
    Case(4, "deferred", Strike("task", "kill", "answer to store")),
    Case(5, "mapped", Strike("task", "kill", "store to wait"), map_index=0),
    Case(6, "waiting", Strike("task", "term", None, "it waits", 1.0)),
    Case(7, "deferred", Strike("task", "term", "answer to store")),
    Case(8, "deferred", Strike("task", "kill", "at the end")),
    Case(9, "deferred", Strike("triggerer", "kill", None, "it waits", 3.0)),
    Case(10, "deferred", Strike("saagie", "kill", None, "runJob came in", 0.2)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for the cluster, where there is what it needs."""
    try:
        prepare(tmp_path / "backends")
    except StackError as error:
        pytest.skip(str(error))
    shutil.rmtree(tmp_path / "backends")
    return tmp_path


def test_ten_strikes_double_lose_orphan_and_stop_nothing(folder: Path) -> None:
    with scene(folder) as found:
        striker = Striker(found, at_once=len(CASES), say=print)
        records = striker.run(CASES, kills=len(CASES))
        told = report.windows(records)
        assert {record.case.run_id: record.findings for record in records if record.findings} == {}, told
        assert sum(record.struck_at is not None for record in records) >= len(CASES) - 1, told
        log = found.stack.airflow.log_text(FROZEN.dag_id, FROZEN.run_id, "run", 1)
        assert "stood still for" in log
