"""The scripts that start programs and the stack, without a real Airflow; `make demo`, `make up` and `make down`."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scripts import lasting, processes
from scripts import stack as stacks
from scripts.airflow_api import AirflowApi
from scripts.airflow_settings import AirflowSettings, free_port
from scripts.processes import ROOT, Kept, Program, StackError
from scripts.stack import Stack
from tests.support.waiting import wait_until

SLEEPS = "import time; time.sleep(3600)"
# Forks a grandchild away into a session of its own, and refuses to end when asked to.
RUNAWAY = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "{SLEEPS}"], env={{}}, start_new_session=True)
print("forked", flush=True)
time.sleep(3600)
"""
STARTER = f"""
import sys, time
from pathlib import Path
from scripts import processes
folder = Path(sys.argv[1])
env = processes.clean_environment(folder)
processes.start([processes.Program("sleeper", [sys.executable, "-c", "{SLEEPS}"], env)], folder, grace=2)
print("started", flush=True)
time.sleep(3600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.sweep(tmp_path, grace=0)


@pytest.fixture
def start(folder: Path) -> Callable[..., Kept]:
    """A function that starts programs of Python code, by their names; names of those that end begin with `once`."""
    env = processes.clean_environment(folder)

    def run(**codes: str) -> Kept:
        programs = [
            Program(name, [sys.executable, "-c", code], env, once=name.startswith("once"))
            for name, code in codes.items()
        ]
        return processes.start(programs, folder, grace=0.5)

    return run


def log(folder: Path, name: str) -> str:
    path = folder / "logs" / f"{name}.log"
    return path.read_text() if path.exists() else ""


def is_empty(folder: Path) -> None:
    wait_until(lambda: not processes.marked(folder))


def test_stop_ends_runaway_program_and_its_children(folder: Path, start: Callable[..., Kept]) -> None:
    kept = start(runaway=RUNAWAY)
    wait_until(lambda: "forked" in log(folder, "runaway"))
    below = psutil.Process(kept.keeper.pid).children(recursive=True)
    assert len(below) == 2
    kept.stop()
    assert not any(process.is_running() for process in below)


def test_program_that_ends_stops_others_and_is_named(folder: Path, start: Callable[..., Kept]) -> None:
    kept = start(sleeper=SLEEPS, crash="import sys; print('no more memory'); sys.exit(3)")
    kept.keeper.wait(120)
    with pytest.raises(StackError, match=r"crash ended with code 3.*\n.*no more memory"):
        kept.check()
    kept.stop()
    is_empty(folder)


def test_next_program_starts_after_preparation_has_ended(folder: Path, start: Callable[..., Kept]) -> None:
    note = folder / "note"
    prepare = f"import time; time.sleep(0.5); open({str(note)!r}, 'w').write('ready')"
    kept = start(once=prepare, follow=f"print(open({str(note)!r}).read(), flush=True); {SLEEPS}")
    wait_until(lambda: "ready" in log(folder, "follow"))
    kept.check()
    kept.stop()


def test_nothing_is_left_after_starter_or_keeper_is_killed(folder: Path, start: Callable[..., Kept]) -> None:
    command = [sys.executable, "-c", STARTER, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        starter.kill()
    is_empty(folder)
    if sys.platform == "linux":  # only Linux notifies a process of its parent's death
        kept = start(sleeper=SLEEPS)
        wait_until(lambda: psutil.Process(kept.keeper.pid).children())
        kept.keeper.kill()
        kept.keeper.wait()
        is_empty(folder)
        with pytest.raises(StackError, match="stopped from outside"):
            kept.check()
        kept.stop()


def test_folder_is_locked_by_one_run(folder: Path) -> None:
    held, again = processes.lock(folder / "lock"), processes.lock(folder / "lock")
    with held, pytest.raises(StackError, match="Another run"), again:
        pass
    with processes.lock(folder / "lock"):
        pass


def test_environment_has_no_foreign_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = {"AIRFLOW_HOME": "/x", "AIRFLOW__CORE__EXECUTOR": "y", "PYTHONPATH": "/z", "PYTHONHOME": "/z"}
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    env = processes.clean_environment(folder)
    assert not foreign.keys() & env.keys()
    assert "127.0.0.1" in env["NO_PROXY"]


def test_stack_uses_another_port_if_one_was_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wishes = stacks.Wishes(folder, folder, "password", "password", saagie_port=1, programs=lambda *_: [])
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = iter([free_port(), taken])  # Airflow's, and a port that was free when it was chosen
        monkeypatch.setattr(stacks, "free_port", lambda _: next(ports, None) or free_port())
        monkeypatch.setattr(stacks, "wait_for_airflow", lambda _: None)  # none is started
        stack = stacks.start(wishes)
        assert not stack.saagie_url.endswith(f":{taken}")
        stack.stop()


class OddAirflow(http.server.BaseHTTPRequestHandler):
    """Reports the health that the test sets, and closes the connection of the first login."""

    unhealthy = ""
    logins = 0

    def do_GET(self) -> None:
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        self.send({part: {"status": "unhealthy" if part == self.unhealthy else "healthy"} for part in parts})

    def do_POST(self) -> None:
        OddAirflow.logins += 1
        if OddAirflow.logins > 1:
            self.send({"access_token": "token"})

    def send(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def odd_stack(folder: Path, start: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack whose Airflow only reports its health; one program runs."""
    monkeypatch.setattr(OddAirflow, "logins", 0)
    kept = start(**{"airflow-scheduler-1": f"print('No database', flush=True); {SLEEPS}"})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OddAirflow) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        settings = AirflowSettings(folder, server.server_port, folder, "password")
        wishes = stacks.Wishes(folder, folder, "password", "password")
        stack = stacks.Stack(kept, wishes, settings, AirflowApi(settings.url, "admin", "password"))
        yield stack
        server.shutdown()
    stack.stop()


def test_login_is_repeated_and_unhealthy_part_is_named(
    odd_stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if there are two of that part; what is up is found although the environment names a proxy."""
    stacks.wait_for_airflow(odd_stack)
    assert OddAirflow.logins == 2

    monkeypatch.setattr(OddAirflow, "unhealthy", "scheduler")
    wait_until(lambda: "No database" in log(folder, "airflow-scheduler-1"))
    with pytest.raises(StackError, match=r"Airflow's scheduler is not healthy.*\n.*No database"):
        stacks.wait_for_airflow(odd_stack, seconds=0.5)

    monkeypatch.setattr(OddAirflow, "unhealthy", "")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    url = odd_stack.settings.url
    assert lasting.is_up(folder, lasting.State(airflow_url=url, saagie_url=url))


@pytest.mark.parametrize("program", ["saagie", "airflow-scheduler"])
def test_interrupted_demo_leaves_no_process(program: str, folder: Path) -> None:
    """Ctrl-C reaches the demo as a signal to its group, when its first or one of its last programs has begun."""
    code = "import sys; from pathlib import Path; from scripts import demo; demo.FOLDER = Path(sys.argv.pop()); "
    command = [sys.executable, "-c", code + "sys.exit(demo.main())", str(folder / "demo")]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, text=True) as running:
        wait_until((folder / "demo" / "logs" / f"{program}.log").exists)
        os.killpg(running.pid, signal.SIGINT)
        out, _ = running.communicate(timeout=120)
    assert "Interrupted" in out
    assert running.returncode == 130
    assert not processes.marked(folder / "demo")


def run_script(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `scripts.up` or `scripts.down` with a folder of the test's own instead of the checkout's `.up`."""
    code = (
        "import sys; from pathlib import Path; from scripts import up; up.FOLDER = Path(sys.argv[1]); "
        f"from scripts import {name}; sys.exit({name}.main())"
    )
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)


@pytest.mark.timeout(900)
def test_up_stays_until_down(folder: Path) -> None:
    """With a real Airflow of its own; its keeper is killed before `down`, the worst state that this can find."""
    first = run_script("up", folder)
    assert first.returncode == 0, first.stdout
    (keeper,) = processes.keepers(folder)

    again = run_script("up", folder)
    assert again.returncode == 0
    assert [process.pid for process in processes.keepers(folder)] == [keeper.pid]
    urls = [set(re.findall(r"http://127.0.0.1:\d+", done.stdout)) for done in (first, again)]
    assert urls[0] == urls[1]

    keeper.kill()
    down = run_script("down", folder)
    assert down.returncode == 0
    assert not processes.marked(folder)
    assert "Nothing is up" in run_script("down", folder).stdout
