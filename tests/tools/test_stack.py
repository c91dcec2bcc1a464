"""The stack that the demo, `make up` and the Airflow tests stand on."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from scripts import demo, lasting, processes
from scripts import stack as stacks
from scripts.airflow_api import AirflowApi
from scripts.airflow_settings import AirflowSettings, free_port
from scripts.processes import ROOT, Program, StackError
from scripts.show import Show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.stack import Stack

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
# Forks a grandchild away into a session of its own, and refuses to end when asked to.
FORK_AWAY = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={}, start_new_session=True)
print("forked", flush=True)
time.sleep(600)
"""
RUNAWAY = [sys.executable, "-c", FORK_AWAY]
STARTER = """
import sys, time
from pathlib import Path
from scripts import processes
folder = Path(sys.argv[1])
env = processes.clean_environment(folder)
command = [sys.executable, "-c", "import time; time.sleep(600)"]
processes.start([processes.Program("sleeper", command, env)], folder, grace=2)
print("started", flush=True)
time.sleep(600)
"""


def gone(folder: Path, seconds: float = 10) -> bool:
    """Wait until no process of a folder is left."""
    deadline = time.monotonic() + seconds
    while (left := processes.marked(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not left


def wait_for_text(path: Path, text: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{text!r} never stood in {path.name}"
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.sweep(tmp_path, grace=0)


def test_a_program_that_forks_and_ignores_sigterm_is_ended_with_its_children(folder: Path):
    env = processes.clean_environment(folder)
    kept = processes.start([Program("runaway", RUNAWAY, env)], folder, grace=0.5)
    wait_for_text(folder / "logs" / "runaway.log", "forked")
    below = psutil.Process(kept.keeper.pid).children(recursive=True)
    assert len(below) == 2

    kept.stop()

    assert not any(process.is_running() for process in below)


def test_one_program_that_ends_stops_the_others_and_is_named_with_its_last_lines(folder: Path):
    env = processes.clean_environment(folder)
    crash = [sys.executable, "-c", "import sys, time; print('no more memory'); time.sleep(0.3); sys.exit(3)"]
    programs = [Program("sleeper", SLEEPER, env), Program("crash", crash, env)]
    kept = processes.start(programs, folder, grace=2)
    kept.keeper.wait(20)

    with pytest.raises(StackError, match=r"crash ended with code 3.*\n.*no more memory"):
        kept.check()
    kept.stop()
    assert gone(folder)


def test_a_program_that_prepares_is_over_before_the_next_one_starts(folder: Path):
    env = processes.clean_environment(folder)
    note = folder / "note"
    prepare = [sys.executable, "-c", f"import time; time.sleep(0.5); open({str(note)!r}, 'w').write('ready')"]
    follow = [sys.executable, "-c", f"print(open({str(note)!r}).read(), flush=True); import time; time.sleep(600)"]
    kept = processes.start(
        [Program("prepare", prepare, env, once=True), Program("follow", follow, env)], folder, grace=1
    )
    wait_for_text(folder / "logs" / "follow.log", "ready")
    kept.check()
    kept.stop()


def test_nothing_is_left_when_the_starter_is_killed(folder: Path):
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    with starter:
        assert starter.stdout.readline() == "started\n"
        starter.kill()
    assert gone(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_nothing_is_left_when_the_keeper_is_killed(folder: Path):
    kept = processes.start([Program("sleeper", SLEEPER, processes.clean_environment(folder))], folder, grace=2)
    while not psutil.Process(kept.keeper.pid).children():
        time.sleep(0.05)
    kept.keeper.kill()
    kept.keeper.wait()
    assert gone(folder)
    with pytest.raises(StackError, match="stopped from outside"):
        kept.check()
    kept.stop()


def test_a_folder_is_locked_by_one_run_at_a_time(folder: Path):
    held, again = processes.lock(folder / "lock"), processes.lock(folder / "lock")
    with held, pytest.raises(StackError, match="Another run"), again:
        pass
    with processes.lock(folder / "lock"):
        pass


def test_the_users_own_airflow_and_python_settings_stay_out(folder: Path, monkeypatch: pytest.MonkeyPatch):
    foreign = {"AIRFLOW_HOME": "/x", "AIRFLOW__CORE__EXECUTOR": "y", "PYTHONPATH": "/z", "PYTHONHOME": "/z"}
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    env = processes.clean_environment(folder)
    assert not foreign.keys() & env.keys()
    assert "127.0.0.1" in env["NO_PROXY"]


def test_where_the_local_saagies_port_was_taken_meanwhile_another_one_is_tried(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    wishes = stacks.Wishes(folder, folder, "password", "password", saagie_port=1, programs=lambda *_: [])
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = iter([free_port(), taken])  # Airflow's, and one that was free when it was looked at
        monkeypatch.setattr(stacks, "free_port", lambda _: next(ports, None) or free_port())
        monkeypatch.setattr(stacks, "wait_for_airflow", lambda _: None)  # none is started
        stack = stacks.start(wishes)
        assert not stack.saagie_url.endswith(f":{taken}")
        stack.stop()


class OddAirflow(http.server.BaseHTTPRequestHandler):
    """Says what it is told to of its parts, and hangs up on the first login."""

    ill = ""
    logins = 0

    def do_GET(self) -> None:
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        self.answer({part: {"status": "unhealthy" if part == self.ill else "healthy"} for part in parts})

    def do_POST(self) -> None:
        OddAirflow.logins += 1
        if OddAirflow.logins > 1:
            self.answer({"access_token": "token"})

    def answer(self, told: object) -> None:
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def odd_stack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack whose Airflow only says how it is; one program runs."""
    monkeypatch.setattr(OddAirflow, "logins", 0)
    command = [sys.executable, "-c", "import time; print('No database', flush=True); time.sleep(600)"]
    env = processes.clean_environment(folder)
    kept = processes.start([Program("airflow-scheduler-1", command, env)], folder, grace=2)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OddAirflow) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        settings = AirflowSettings(folder, server.server_port, folder, "password")
        wishes = stacks.Wishes(folder, folder, "password", "password")
        stack = stacks.Stack(kept, wishes, settings, AirflowApi(settings.url, "admin", "password"))
        yield stack
        server.shutdown()
    stack.stop()


def test_an_airflow_that_is_too_busy_for_a_login_is_asked_again_and_not_taken_for_another(odd_stack: Stack):
    stacks.wait_for_airflow(odd_stack, seconds=20)
    assert OddAirflow.logins == 2


def test_a_part_that_is_not_healthy_is_named_with_its_last_lines_also_where_there_are_two_of_it(
    odd_stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(OddAirflow, "ill", "scheduler")
    wait_for_text(folder / "logs" / "airflow-scheduler-1.log", "No database")
    with pytest.raises(StackError, match=r"Airflow's scheduler is not healthy.*\n.*No database"):
        stacks.wait_for_airflow(odd_stack, seconds=0.5)


def test_what_is_up_is_found_so_also_where_the_environment_names_a_proxy(
    odd_stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(OddAirflow, "logins", 1)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    url = odd_stack.settings.url
    assert lasting.is_up(folder, lasting.State(airflow_url=url, saagie_url=url))


@pytest.mark.parametrize("after", [0.5, 3.0])
def test_demo_that_is_interrupted_leaves_no_process(after: float, tmp_path: Path):
    """The whole demo in a folder of the test's own: Ctrl-C reaches it from the terminal, as a signal to its group."""
    code = "import sys; from pathlib import Path; from scripts import demo; demo.FOLDER = Path(sys.argv.pop()); "
    code += "sys.exit(demo.main())"
    folder = tmp_path / "demo"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, text=True
    ) as running:
        deadline = time.monotonic() + 20
        while not processes.marked(folder):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(after)
        os.killpg(running.pid, signal.SIGINT)
        out, _ = running.communicate(timeout=30)
    assert "Interrupted" in out
    assert running.returncode == 130
    assert not processes.marked(folder)


@pytest.mark.slow
def test_airflow_knows_the_provider(stack: Stack):
    env = processes.clean_environment(stack.wishes.folder) | {"AIRFLOW_HOME": str(stack.settings.home)}
    listed = subprocess.run(
        [sys.executable, "-m", "airflow", "providers", "list", "--output", "json"],
        env=env, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    names = {provider["package_name"] for provider in json.loads(listed.stdout)}
    assert "airflow-provider-saagie" in names


@pytest.mark.slow
def test_everything_listens_on_loopback_only(stack: Stack):
    listening = set()
    for process in processes.marked(stack.wishes.folder):
        with contextlib.suppress(psutil.NoSuchProcess):  # a task's process may end while we look
            listening |= {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


@pytest.mark.slow
def test_the_connection_test_reaches_the_local_saagie(stack: Stack, airflow: AirflowApi):
    answer = airflow.check_connection(stack.connection)
    assert answer["status"], answer["message"]

    answer = airflow.check_connection(stack.connection | {"connection_id": "other", "password": "wrong"})
    assert not answer["status"]
    assert "wrong" not in answer["message"]


@pytest.mark.slow
def test_a_deferred_task_can_be_watched_and_its_log_read(airflow: AirflowApi):
    run_id = airflow.trigger("stack_deferring")
    airflow.wait_for_state("stack_deferring", run_id, "wait", "deferred")
    assert "before the deferral" in airflow.log_text("stack_deferring", run_id, "wait")
    assert airflow.wait_for_run("stack_deferring", run_id) == "success"
    assert "after the deferral" in airflow.log_text("stack_deferring", run_id, "wait")
    assert airflow.xcom("stack_deferring", run_id, "wait") == "resumed"


@pytest.mark.slow
def test_a_deferred_task_can_be_marked_failed_and_cleared(airflow: AirflowApi):
    run_id = airflow.trigger("stack_deferring", {"seconds": 60})
    airflow.wait_for_state("stack_deferring", run_id, "wait", "deferred")
    airflow.set_task_state("stack_deferring", run_id, "wait", "failed")
    assert airflow.wait_for_run("stack_deferring", run_id) == "failed"

    airflow.clear("stack_deferring", run_id, "wait")
    task = airflow.wait_for_state("stack_deferring", run_id, "wait", "deferred")
    assert task["try_number"] == 2
    airflow.set_run_state("stack_deferring", run_id, "failed")


@pytest.mark.slow
def test_another_airflow_on_the_port_is_not_taken_for_ours(stack: Stack):
    stranger = AirflowApi(stack.settings.url, "admin", "another password")
    with pytest.raises(StackError, match="not ours"):
        stacks.wait_for_airflow(stacks.Stack(stack.kept, stack.wishes, stack.settings, stranger), seconds=10)
    stranger.close()


@pytest.mark.slow
def test_demo_shows_states_output_links_and_the_failures_message(stack: Stack, capsys: pytest.CaptureFixture[str]):
    demo.perform(stack, Show())
    shown = capsys.readouterr().out
    for task in ("deploy", "wait", "purge"):
        assert re.search(rf" s +{task} .*success", shown), shown
    assert re.search(r" s +run .*queued > running > deferred > .*success", shown), shown
    assert "[job] Hello from Saagie!" in shown
    assert f"{stack.saagie_url}/projects/platform/1/project/" in shown
    assert stack.settings.url in shown
    assert re.search(r" s +run_failing_job .*failed\n.*SaagieJobFailed", shown), shown


def run_script(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `scripts.up` or `scripts.down` with a folder of the test's own instead of the checkout's `.up`."""
    code = (
        "import sys; from pathlib import Path; from scripts import up; up.FOLDER = Path(sys.argv[1]); "
        f"from scripts import {name}; sys.exit({name}.main())"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
@pytest.mark.long  # an Airflow of its own
def test_up_stays_until_down(folder: Path):
    first = run_script("up", folder)
    assert first.returncode == 0, first.stdout
    before = {process.pid for process in processes.keepers(folder)}
    assert len(before) == 1

    again = run_script("up", folder)
    assert again.returncode == 0
    assert {process.pid for process in processes.keepers(folder)} == before
    addresses = re.findall(r"http://127.0.0.1:\d+", first.stdout)
    assert set(re.findall(r"http://127.0.0.1:\d+", again.stdout)) == set(addresses)

    for keeper in processes.keepers(folder):
        keeper.kill()  # the worst state that down can find
    down = run_script("down", folder)
    assert down.returncode == 0
    assert not processes.marked(folder)
    assert "Nothing is up" in run_script("down", folder).stdout
