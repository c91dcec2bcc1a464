"""The hook in a `@task` of a real Airflow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from scripts.airflow_api import AirflowApi

pytestmark = pytest.mark.slow


@pytest.mark.long
def test_a_transfers_lines_stand_in_the_tasks_log(airflow: AirflowApi) -> None:
    airflow.wait_for_dag("hook_transfers")
    run_id = airflow.trigger("hook_transfers")
    assert airflow.wait_for_run("hook_transfers", run_id) == "success"
    log = airflow.log_text("hook_transfers", run_id, "there_and_back")
    assert "stderr is a terminal: False" in log
    for what in ("Uploading", "Downloading"):
        assert re.search(rf"{what} 'model.bin': [0-9.]+ of 1.0 MiB \([0-9]+ %\), [0-9.]+ MiB/s\.", log), log
        assert re.search(rf"{what} 'model.bin': done, 1.0 MiB in 0 s\.", log), log
    assert airflow.xcom("hook_transfers", run_id, "there_and_back") == 1024 * 1024
