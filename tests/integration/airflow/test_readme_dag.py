"""The DAG of the README, copied into a file as its reader does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.dag_runs import RunDag
from tests.support.pages import README, ROOT, blocks


def test_readme_dag_deploys_and_runs_the_job(
    tmp_path: Path, run_dag: RunDag, capfd: pytest.CaptureFixture[str]
) -> None:
    (code,) = [code for code in blocks(README, "python") if "with DAG(" in code]
    file = tmp_path / "readme_dag.py"
    file.write_text(code)
    shutil.copytree(ROOT / "example_dags" / "jobs", tmp_path / "jobs")
    names: dict[str, Any] = {"__name__": "readme_dag", "__file__": str(file)}
    exec(compile(code, str(file), "exec"), names)  # the user's own file
    dag = names["run"].dag
    dag.fileloc, dag.relative_fileloc = str(file), file.name
    results = run_dag(dag)
    assert {task_id: result.state for task_id, result in results.items()} == dict.fromkeys(dag.task_ids, "success")
    assert "[job] Hello from Saagie!" in "".join(capfd.readouterr())
