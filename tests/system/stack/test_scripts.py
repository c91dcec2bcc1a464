"""The scripts' stack with a real Airflow: what it listens on, its REST calls, and what `make demo` shows."""

from __future__ import annotations

import contextlib
import re

import psutil
import pytest

from scripts import demo, processes
from scripts import stack as stacks
from scripts.airflow_api import AirflowApi
from scripts.processes import StackError
from scripts.show import Show
from scripts.stack import Stack

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_stack_listens_on_loopback_and_detects_other_airflow(stack: Stack) -> None:
    listening = set()
    for process in processes.marked(stack.wishes.folder):
        with contextlib.suppress(psutil.NoSuchProcess):  # a task's process may end at any time
            listening |= {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}

    other = AirflowApi(stack.settings.url, "admin", "another password")
    with pytest.raises(StackError, match="not ours"):
        stacks.wait_for_airflow(stacks.Stack(stack.kept, stack.wishes, stack.settings, other))
    other.close()


def test_deferred_task_is_marked_cleared_and_read(airflow: AirflowApi) -> None:
    dag_id = "stack_deferring"
    airflow.wait_for_dag(dag_id)
    quick, slow = airflow.trigger(dag_id), airflow.trigger(dag_id, {"seconds": 3600})
    airflow.wait_for_state(dag_id, slow, "wait", "deferred")
    airflow.set_task_state(dag_id, slow, "wait", "failed")
    assert airflow.wait_for_run(dag_id, slow) == "failed"
    airflow.clear(dag_id, slow, "wait")
    assert airflow.wait_for_state(dag_id, slow, "wait", "deferred")["try_number"] == 2
    airflow.set_run_state(dag_id, slow, "failed")

    assert airflow.wait_for_run(dag_id, quick) == "success"
    log = airflow.log_text(dag_id, quick, "wait")
    assert log.index("before the deferral") < log.index("after the deferral")
    assert airflow.xcom(dag_id, quick, "wait") == "resumed"


def test_demo_shows_states_output_links_and_failure(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    demo.perform(stack, Show())
    shown = capsys.readouterr().out
    for task in ("deploy", "wait", "purge"):
        assert re.search(rf" s +{task} .*success", shown), shown
    assert re.search(r" s +run .*queued > running > deferred > .*success", shown), shown
    assert "[job] Hello from Saagie!" in shown
    assert f"{stack.saagie_url}/projects/platform/1/project/" in shown
    assert stack.settings.url in shown
    assert re.search(r" s +run_failing_job .*failed\n.*SaagieJobFailed", shown), shown
