"""Test jobs that run as processes, with the emulator's app in this process."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_saagie.emulator.engine import Limits
from airflow_provider_saagie.emulator.engine.leftovers import end_processes
from tests.support.emulator_client import DELETE_PROJECT, EDIT_JOB, Client, client_of_app, wait_until_gone
from tests.support.waiting import wait_until

JOB = """
query j($id: UUID!) { job(id: $id) { versions { number isCurrent } instances(limit: 2) { number version { number } } } }
"""
RUNS = "query r($id: UUID!) { job(id: $id) { instances { id startTime } } }"


@pytest.fixture
def start_app(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """A function that runs the app in this process and returns its client; called once in a test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(client_of_app(tmp_path / "data", **settings))


@pytest.fixture
def client(start_app: Callable[..., Client]) -> Client:
    return start_app()


def pids(client: Client, instance: str, count: int = 1) -> list[int]:
    """Return the process ids that an instance writes first."""
    return [int(line) for line in client.wait_for_lines(instance, count)[:count]]


def output(client: Client, job: str) -> list[str]:
    """Run a job to its end and return its lines."""
    instance = client.run(job)
    client.wait(instance)
    return client.lines(instance)


def test_python_job_runs_with_its_file_and_arguments(client: Client) -> None:
    job = client.job("python {file} one 'two words'", "import sys; print(sys.argv[1:])", "a file's.py", kind="python")
    instance = client.wait(client.run(job))
    assert client.statuses(instance["id"]) == ["AWAITING", "REQUESTED", "QUEUED", "RUNNING", "SUCCEEDED"]
    assert client.lines(instance["id"]) == ["['one', 'two words']"]
    assert instance["endTime"] >= instance["startTime"]
    trigger = instance["runTrigger"]
    assert trigger == {"__typename": "AuthoredTrigger", "triggerType": "MANUAL_JOB", "author": "airflow"}
    assert instance["stopTrigger"] is None


def test_instance_ends_by_the_exit_code(client: Client) -> None:
    ends = {
        "echo out; echo err >&2": ("SUCCEEDED", None, None),
        "exit 7": ("FAILED", "GENERIC_ERROR", "exit code 7"),
        "kill -9 $$": ("FAILED", "GENERIC_ERROR", "exit code 137"),
    }
    started = {command: client.start(command) for command in ends}
    for command, instance in started.items():
        client.wait(instance)
        assert client.current(instance) == ends[command]
    first, *_ = started.values()
    assert [client.lines(first, stream) for stream in ("STDOUT", "STDERR")] == [["out"], ["err"]]
    spark = client.start("x", kind="spark")
    client.wait(spark)
    status, _, details = client.current(spark)
    assert (status, "--run-with spark=COMMAND" in (details or "")) == ("FAILED", True)


def test_processes_of_a_job_end_with_its_instance(client: Client) -> None:
    """Those in the background too; one of them has left the job's session."""
    leaves = "setsid bash -c 'echo $$ > pid; exec sleep 300' & until [ -s pid ]; do sleep 0.02; done; cat pid"
    forever = client.job("sleep 300 & echo $!; echo $$; while :; do sleep 300; done")
    ended = client.start(f"sleep 300 & echo $!; {leaves}")
    stopped, failed, unknown, deleted = (client.run(forever) for _ in range(4))
    ended_pids, stopped_pids, failed_pids, unknown_pids, deleted_pids = (
        pids(client, one, 2) for one in (ended, stopped, failed, unknown, deleted)
    )
    client.wait(ended, "SUCCEEDED")
    assert client.current(stopped)[0] == "RUNNING"
    assert client.stop(stopped)["status"] == "KILLING"
    stop = client.wait(stopped)["stopTrigger"]
    assert stop == {"author": "airflow", "triggerType": "MANUAL_JOB"}
    assert client.statuses(stopped) == ["AWAITING", "REQUESTED", "QUEUED", "RUNNING", "KILLING", "KILLED"]
    client.set_instance(failed, "FAILED", reason="OUT_OF_MEMORY", details="killed")
    client.set_instance(unknown, "UNKNOWN")
    for pid in (*ended_pids, *stopped_pids, *failed_pids, *unknown_pids):
        wait_until_gone(pid)
    for instance in (failed, unknown):
        wait_until(lambda work=client.database.folder / "work" / instance: not work.exists())
    assert client.current(failed) == ("FAILED", "OUT_OF_MEMORY", "killed")
    assert client.current(unknown) == ("UNKNOWN", None, None)
    client.stop(unknown)
    client.wait(unknown, "KILLED")
    client.data(DELETE_PROJECT, id=client.project())
    for pid in deleted_pids:
        wait_until_gone(pid)
    assert client.instance(deleted) is None


def test_end_of_the_emulator_ends_its_jobs(tmp_path: Path) -> None:
    with client_of_app(tmp_path) as client:
        instance = client.start("echo $$; while :; do sleep 300; done")
        (pid,) = pids(client, instance)
    wait_until_gone(pid)
    with client_of_app(tmp_path) as client:
        assert client.current(instance)[:2] == ("FAILED", "UNEXPECTED_DELETION")


def test_job_that_ignores_the_signal_is_killed_later(start_app: Callable[..., Client]) -> None:
    """One of the jobs has closed its output, as `command > file 2>&1` does."""
    client = start_app(limits=Limits(stop_seconds=0.5))
    for output in ("", "exec > own.log 2>&1;"):
        instance = client.start(f"trap '' TERM; echo $$; {output} while :; do sleep 0.1; done")
        (process,) = pids(client, instance)
        began = time.monotonic()
        client.stop(instance)
        client.wait(instance, "KILLED")
        assert time.monotonic() - began >= 0.5, output
        wait_until_gone(process)


def test_job_that_cleans_up_on_the_signal_has_time(start_app: Callable[..., Client]) -> None:
    client = start_app(limits=Limits(stop_seconds=300))
    instance = client.start("trap 'echo tidy; exit 0' TERM; echo up; sleep 300 & wait")
    client.wait_for_lines(instance)
    client.stop(instance)
    client.wait(instance, "KILLED")
    assert client.lines(instance) == ["up", "tidy"]


def test_leftovers_are_found_by_their_whole_instance_id() -> None:
    variable = "SAAGIE_JOB_INSTANCE_ID"
    processes = [subprocess.Popen(["sleep", "300"], env={variable: one}) for one in ("this-one", "this-one-too")]
    try:
        assert end_processes({"this-one"}) == 1
        assert processes[0].wait() == -9
        assert processes[1].poll() is None
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_job_has_a_fresh_folder_and_an_environment_of_its_own(client: Client) -> None:
    job = client.job("pwd; ls; touch trace; env")
    folders = []
    for instance in (client.run(job), client.run(job)):
        client.wait(instance)
        folder, *lines = client.lines(instance)
        folders.append(folder)
        assert not Path(folder).exists()
        environment = dict(line.split("=", 1) for line in lines)
        ids = {"SAAGIE_JOB_ID": job, "SAAGIE_JOB_INSTANCE_ID": instance, "SAAGIE_PLATFORM_ID": "1"}
        assert environment == environment | ids | {"SAAGIE_PROJECT_ID": client.project()}
        assert set(environment) - {"PWD", "SHLVL", "_"} - {*ids, "SAAGIE_PROJECT_ID"} == {
            "PATH", "HOME", "LANG", "PYTHONUNBUFFERED", "SAAGIE_OUTPUT_VARS_PATH"
        }  # fmt: skip
    assert len(set(folders)) == 2


def test_outputs_are_read_as_text_and_never_from_an_artifact(client: Client) -> None:
    written = client.start(
        'printf "ROWS=12\\nNOTE=a=b\\n# no\\nDB_PASSWORD=hush\\n" > "$SAAGIE_OUTPUT_VARS_PATH"; '
        r"printf '\377\376 bytes\n\n<b>tag</b>\r\nsnow \342\230\203\nno end'"
    )
    uploaded = client.run(client.job("true", "A=1", ".output-vars.properties"))
    assert client.wait(written)["executionVariablesOutput"] == [
        {"key": "ROWS", "value": "12", "isPassword": False},
        {"key": "NOTE", "value": "a=b", "isPassword": False},
        {"key": "DB_PASSWORD", "value": None, "isPassword": True},
    ]
    assert client.wait(uploaded)["executionVariablesOutput"] is None
    assert client.lines(written) == ["�� bytes", "", "<b>tag</b>", "snow ☃", "no end"], "undecodable output is text"


def test_other_technologies_run_with_a_given_command(start_app: Callable[..., Client]) -> None:
    hook = 'echo "$SAAGIE_JOB_RUNTIME on $SAAGIE_JOB_IMAGE"; eval "$SAAGIE_JOB_COMMAND"; exit 3'
    client = start_app(runners={"spark": hook})
    instance = client.run(client.job("cat {file}", "data", "a b.txt", kind="spark"))
    client.wait(instance)
    assert client.lines(instance) == ["3.5 on saagie/spark:3.5-1.0.0", "data"]
    assert client.current(instance)[2] == "exit code 3"


def test_instances_run_the_version_that_was_current(client: Client) -> None:
    job = client.job("cat {file}", "one")
    assert output(client, job) == ["one"]
    again = client.add_version(job, "cat {file} {file}", usePreviousArtifact=True)
    assert again == {"number": 2, "packageInfo": {"name": "job.sh"}}
    client.add_version(job, "cat {file}", "three")
    assert output(client, job) == ["three"]
    client.data("mutation b($id: UUID!) { rollbackJobVersion(jobId: $id, versionNumber: 2) { id } }", id=job)
    assert output(client, job) == ["oneone"]
    found = client.data(JOB, id=job)["job"]
    assert [(one["number"], one["isCurrent"]) for one in found["versions"]] == [(3, False), (2, True), (1, False)]
    assert [(one["number"], one["version"]["number"]) for one in found["instances"]] == [(3, 2), (2, 3)]
    assert client.add_version(job)["packageInfo"] is None


def test_job_over_its_time_fails(start_app: Callable[..., Client]) -> None:
    client = start_app(limits=Limits(seconds=0.5))
    for instance in [client.start(command) for command in ("sleep 300", "exec > own.log 2>&1; sleep 300")]:
        client.wait(instance)
        assert client.current(instance) == ("FAILED", "GENERIC_ERROR", "took longer than 0.5 seconds")


def test_limits_of_parallel_instances_and_of_log_lines(start_app: Callable[..., Client]) -> None:
    client = start_app(limits=Limits(parallel=1, log_lines=10))
    job = client.job("sleep 300")
    running, waiting = client.run(job), client.run(job)
    client.wait(running, "RUNNING")
    assert client.current(waiting)[0] == "QUEUED"
    client.stop(waiting)
    client.wait(waiting)
    assert client.statuses(waiting) == ["AWAITING", "REQUESTED", "QUEUED", "KILLING", "KILLED"]
    client.stop(running)
    limited = client.start("seq 1000")
    client.wait(limited, "SUCCEEDED")
    assert client.lines(limited) == [str(number) for number in range(1, 11)]
    assert client.lines(limited, "ORCHESTRATION_STDERR") == ["Only the first 10 lines are kept"]


def test_scheduled_job_runs_until_its_schedule_is_removed(client: Client) -> None:
    each_second: dict[str, Any] = {"isScheduled": True, "cronScheduling": "* * * * * *"}

    def runs(job: str, least: int = 0) -> list[dict[str, str]]:
        return wait_until(lambda: len(found := client.data(RUNS, id=job)["job"]["instances"]) >= least and [*found, {}])

    job = client.job("echo tick", **each_second)
    runs(job, 2)
    client.data(EDIT_JOB, job={"id": job, "isScheduled": False})
    other = client.job("true", **each_second)
    runs(other, 1)  # the scheduler has seen the change
    *stopped, _ = runs(job)
    runs(other, 2)
    assert runs(job) == [*stopped, {}]
    seconds = [run["startTime"][:19] for run in stopped]
    assert len(set(seconds)) == len(seconds)
    first = client.wait(stopped[-1]["id"], "SUCCEEDED")
    assert first["runTrigger"] == {"__typename": "AnonymousTrigger", "triggerType": "CRON_JOB"}
    assert client.lines(first["id"]) == ["tick"]
