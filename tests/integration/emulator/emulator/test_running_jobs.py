"""Jobs as real processes, seen over HTTP."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.emulator.emulator.conftest import is_alive, wait_until_gone

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.emulator.emulator.conftest import Client
    from airflow_provider_saagie.emulator.testing import Emulator


def statuses(instance: dict) -> list[str]:
    return [record["status"] for record in instance["history"]["statuses"]]


def test_a_python_job_runs_with_its_file_and_arguments(client: Client) -> None:
    job = client.job("python {file} one 'two words'", "import sys; print(sys.argv[1:])", file_name="a file's.py")
    instance = client.wait(client.run(job))
    assert statuses(instance) == ["AWAITING", "REQUESTED", "QUEUED", "RUNNING", "SUCCEEDED"]
    assert client.lines(instance["id"]) == ["['one', 'two words']"]
    assert instance["endTime"] >= instance["startTime"]
    assert instance["runTrigger"] == {"triggerType": "MANUAL_JOB", "author": "airflow"}
    assert instance["stopTrigger"] is None


def test_a_bash_job_needs_no_file(client: Client) -> None:
    instance = client.wait(client.run(client.job("echo out; echo err >&2", technology="Bash")))
    assert client.lines(instance["id"], "STDOUT") == ["out"]
    assert client.lines(instance["id"], "STDERR") == ["err"]


def test_a_bad_exit_code_is_a_failure_that_names_it(client: Client) -> None:
    instance = client.wait(client.run(client.job("exit 7", technology="Bash")))
    current = instance["history"]["currentStatus"]
    assert (current["status"], current["reason"], current["details"]) == ("FAILED", "GENERIC_ERROR", "exit code 7")


def test_a_process_that_kills_itself_fails_as_in_a_shell(client: Client) -> None:
    instance = client.wait(client.run(client.job("kill -9 $$", technology="Bash")))
    assert instance["history"]["currentStatus"]["details"] == "exit code 137"


def test_lines_are_there_while_the_job_runs(client: Client) -> None:
    instance = client.run(client.job("echo early; sleep 60", technology="Bash"))
    client.wait_for_line(instance, "early")
    assert client.status(instance) == "RUNNING"
    client.stop(instance)
    client.wait(instance)


def test_a_stop_ends_the_process_and_its_children(client: Client) -> None:
    instance = client.run(client.job("sleep 300 & echo child $!; sleep 300", technology="Bash"))
    client.wait(instance, "RUNNING")
    while not (lines := client.lines(instance)):
        time.sleep(0.05)
    child = int(lines[0].split()[1])
    assert client.stop(instance)["status"] == "KILLING"
    stopped = client.wait(instance)
    assert statuses(stopped) == ["AWAITING", "REQUESTED", "QUEUED", "RUNNING", "KILLING", "KILLED"]
    assert stopped["stopTrigger"] == {"author": "airflow", "triggerType": "MANUAL_JOB"}
    wait_until_gone(child)


def test_a_job_that_ignores_the_polite_signal_is_killed_after_three_seconds(client: Client) -> None:
    script = (
        "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(99)"
    )
    instance = client.run(client.job("exec python {file}", script))
    client.wait_for_line(instance, "deaf")
    began = time.monotonic()
    client.stop(instance)
    client.wait(instance, "KILLED")
    assert 2.5 < time.monotonic() - began < 6


def test_a_job_that_has_closed_its_output_can_be_stopped(client: Client) -> None:
    """As `command > file 2>&1` does, where bash makes way for the command."""
    command = "echo $$; exec > own.log 2>&1; trap '' TERM; while :; do sleep 0.2; done"
    instance = client.run(client.job(command, technology="Bash"))
    while not (lines := client.lines(instance)):
        time.sleep(0.05)
    client.stop(instance)
    client.wait(instance, "KILLED")
    wait_until_gone(int(lines[0]))


def test_an_artifact_is_never_taken_for_outputs(client: Client) -> None:
    job = client.job("true", "A=1", technology="Bash", file_name=".output-vars.properties")
    assert client.wait(client.run(job))["executionVariablesOutput"] is None


def test_a_job_that_tidies_up_on_the_signal_is_given_time_to(client: Client) -> None:
    instance = client.run(client.job("trap 'echo tidy; exit 0' TERM; echo up; sleep 60 & wait", technology="Bash"))
    client.wait_for_line(instance, "up")
    client.stop(instance)
    assert client.wait(instance)["history"]["currentStatus"]["status"] == "KILLED"
    assert "tidy" in client.lines(instance)


def test_children_left_in_the_background_end_with_the_job(client: Client) -> None:
    instance = client.wait(client.run(client.job("sleep 300 & echo $!", technology="Bash")))
    assert instance["history"]["currentStatus"]["status"] == "SUCCEEDED"
    wait_until_gone(int(client.lines(instance["id"])[0]))


def test_the_environment_holds_what_saagie_gives_and_nothing_of_ours(client: Client) -> None:
    job = client.job("env", technology="Bash")
    instance = client.wait(client.run(job))
    environment = dict(line.split("=", 1) for line in client.lines(instance["id"]))
    assert environment["SAAGIE_JOB_ID"] == job
    assert environment["SAAGIE_JOB_INSTANCE_ID"] == instance["id"]
    assert environment["SAAGIE_PLATFORM_ID"] == "1"
    assert set(environment) - {"PWD", "SHLVL", "_"} == {
        "PATH", "HOME", "LANG", "PYTHONUNBUFFERED", "SAAGIE_PLATFORM_ID", "SAAGIE_PROJECT_ID", "SAAGIE_JOB_ID",
        "SAAGIE_JOB_INSTANCE_ID", "SAAGIE_OUTPUT_VARS_PATH",
    }  # fmt: skip


def test_outputs_are_handed_on_and_passwords_hidden(client: Client) -> None:
    command = 'printf "ROWS=12\\nNOTE=a=b\\n# no\\nDB_PASSWORD=hush\\n" > "$SAAGIE_OUTPUT_VARS_PATH"'
    instance = client.wait(client.run(client.job(command, technology="Bash")))
    assert instance["executionVariablesOutput"] == [
        {"key": "ROWS", "value": "12", "isPassword": False},
        {"key": "NOTE", "value": "a=b", "isPassword": False},
        {"key": "DB_PASSWORD", "value": None, "isPassword": True},
    ]


def test_a_folder_is_used_once_and_then_gone(client: Client) -> None:
    job = client.job("ls; touch trace; pwd", technology="Bash")
    first = client.wait(client.run(job))
    second = client.wait(client.run(job))
    assert len(client.lines(first["id"])) == len(client.lines(second["id"])) == 1
    assert not Path(client.lines(first["id"])[0]).exists()


def test_odd_output_is_kept_as_text(client: Client) -> None:
    script = (
        "import sys; w = sys.stdout.buffer.write; w(b'\\xff\\xfe bytes\\n\\n<b>tag</b>\\r\\n'); "
        "w('snow \\u2603\\n'.encode()); w(b'no end')"
    )
    instance = client.wait(client.run(client.job("python {file}", script)))
    assert client.lines(instance["id"]) == ["�� bytes", "", "<b>tag</b>", "snow ☃", "no end"]


def test_other_technologies_end_at_once_with_the_reason(client: Client) -> None:
    instance = client.wait(client.run(client.job("x", technology="Spark")))
    current = instance["history"]["currentStatus"]
    assert current["status"] == "FAILED"
    assert "Spark" in current["details"]
    assert "--run-with spark=COMMAND" in current["details"]


def test_other_technologies_run_with_a_command_of_the_users_own(
    start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
) -> None:
    hook = 'echo "$SAAGIE_JOB_RUNTIME on $SAAGIE_JOB_IMAGE"; eval "$SAAGIE_JOB_COMMAND"; exit 3'
    client = client_of(start_emulator("--run-with", f"spark={hook}"))
    instance = client.wait(client.run(client.job("cat {file}", "data", technology="Spark", file_name="a b.txt")))
    assert client.lines(instance["id"]) == ["3.5 on saagie/spark:3.5-1.0.0", "data"]
    assert instance["history"]["currentStatus"]["details"] == "exit code 3"


def test_a_deleted_project_takes_its_processes_along(client: Client) -> None:
    name = f"gone {time.time()}"
    python = client.technologies()["Bash"]
    project = client.data(
        "mutation make($project: ProjectInput!) { createProject(project: $project) { id } }",
        {
            "project": {
                "name": name,
                "technologiesByCategory": [{"jobCategory": "Processing", "technologies": [{"id": python}]}],
            }
        },
    )["createProject"]["id"]
    instance = client.run(client.job("echo $$; sleep 300", technology="Bash", projectId=project))
    while not (lines := client.lines(instance)):
        time.sleep(0.05)
    client.data("mutation delete($id: UUID!) { deleteProject(projectId: $id) }", {"id": project})
    wait_until_gone(int(lines[0]))
    assert client.instance(instance) is None


class TestLimits:
    """Limits of an emulator of the test's own."""

    def test_output_beyond_the_limit_is_left_out_and_that_is_said(
        self, start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
    ) -> None:
        client = client_of(start_emulator("--log-limit", "10"))
        instance = client.wait(client.run(client.job("seq 1000", technology="Bash")))
        assert instance["history"]["currentStatus"]["status"] == "SUCCEEDED"
        assert client.lines(instance["id"]) == [str(number) for number in range(1, 11)]
        assert client.lines(instance["id"], "ORCHESTRATION_STDERR") == ["Only the first 10 lines are kept"]

    def test_output_without_end_is_cut_by_its_size_too(self, client: Client) -> None:
        """Lines may be long: 80 MB of them are more than is kept."""
        command = "head -c 80000000 /dev/zero | tr '\\0' x; echo the end"
        instance = client.wait(client.run(client.job(command, technology="Bash")), seconds=60)
        assert instance["history"]["currentStatus"]["status"] == "SUCCEEDED"
        (said,) = client.lines(instance["id"], "ORCHESTRATION_STDERR")
        assert said == "Only the first 4096 lines are kept: they hold 64 MB"

    def test_a_job_over_its_time_fails_though_it_has_closed_its_output(
        self, start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
    ) -> None:
        client = client_of(start_emulator("--time-limit", "0.5"))
        instance = client.wait(client.run(client.job("exec > own.log 2>&1; sleep 60", technology="Bash")))
        assert instance["history"]["currentStatus"]["details"] == "took longer than 0.5 seconds"

    def test_a_job_over_its_time_fails_and_says_so(
        self, start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
    ) -> None:
        client = client_of(start_emulator("--time-limit", "0.5"))
        instance = client.wait(client.run(client.job("sleep 60", technology="Bash")))
        current = instance["history"]["currentStatus"]
        assert (current["status"], current["details"]) == ("FAILED", "took longer than 0.5 seconds")

    def test_instances_beyond_the_parallel_limit_wait_and_can_be_stopped_there(
        self, start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
    ) -> None:
        client = client_of(start_emulator("--parallel", "1"))
        job = client.job("sleep 60", technology="Bash")
        running, waiting = client.run(job), client.run(job)
        client.wait(running, "RUNNING")
        assert client.status(waiting) == "QUEUED"
        client.stop(waiting)
        assert statuses(client.wait(waiting)) == ["AWAITING", "REQUESTED", "QUEUED", "KILLING", "KILLED"]
        client.stop(running)
        client.wait(running)


@pytest.mark.parametrize("number", [2, 15], ids=["SIGINT", "SIGTERM"])
def test_a_stopped_emulator_ends_its_jobs_and_exits_with_success(
    start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client], number: int
) -> None:
    emulator = start_emulator()
    client = client_of(emulator)
    instance = client.run(client.job("trap '' TERM INT; echo $$; sleep 300", technology="Bash"))
    while not (lines := client.lines(instance)):
        time.sleep(0.05)
    began = time.monotonic()
    assert emulator.stop(number) == 0
    assert time.monotonic() - began < 3
    assert not is_alive(int(lines[0]))


def test_after_kill_9_nothing_answered_is_lost_and_leftovers_are_ended(
    start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
) -> None:
    emulator = start_emulator()
    client = client_of(emulator)
    job = client.job("echo $$; sleep 300 & echo $!; sleep 300", technology="Bash")
    instance, stopped = client.run(job), client.run(job)
    while len(lines := client.lines(instance)) < 2:
        time.sleep(0.05)
    client.wait(stopped, "RUNNING")
    emulator.process.kill()
    emulator.process.wait()
    assert is_alive(int(lines[0]))
    again = client_of(start_emulator())
    found = again.instance(instance)
    assert found["history"]["currentStatus"]["status"] == "FAILED"
    assert found["history"]["currentStatus"]["reason"] == "UNEXPECTED_DELETION"
    assert again.lines(instance) == lines
    for line in lines:
        wait_until_gone(int(line))
    assert again.status(again.run(job)) in ("AWAITING", "REQUESTED", "QUEUED", "RUNNING")


def test_a_token_outlives_a_restart(
    start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
) -> None:
    first = start_emulator()
    client = client_of(first)
    project = client.demo_project()
    first.stop()
    client.emulator = start_emulator()
    assert client.demo_project() == project
