"""Test the engine as far as it starts no process: recovery, failing starts, and the limit of logs."""

from airflow_provider_saagie.emulator.engine import Engine, Limits
from airflow_provider_saagie.emulator.engine.log_writer import LogWriter
from airflow_provider_saagie.emulator.states import ENDS, Status
from airflow_provider_saagie.emulator.store import instances, logs, versions
from airflow_provider_saagie.emulator.store.database import Database
from airflow_provider_saagie.emulator.store.records import Job
from tests.support.waiting import wait_until


def test_recovery_ends_unfinished_instances_once(database: Database, job: Job) -> None:
    waiting, stopping = (instances.create_instance(database, job.id, "me") for _ in range(2))
    instances.ask_to_stop(database, stopping.id, "me")
    engine = Engine(database, Limits())
    assert [engine.recover(), engine.recover()] == [2, 0]
    engine.close()
    lost = instances.require_instance(database, waiting.id).current
    assert (lost.status, lost.reason) == (Status.FAILED, "UNEXPECTED_DELETION")
    assert instances.require_instance(database, stopping.id).current.status is Status.KILLED


def test_failing_start_ends_the_instance_with_the_reason(database: Database, job: Job) -> None:
    versions.add_version(database, job.id, versions.NewVersion("me", command_line="echo \0"))
    instance = instances.create_instance(database, job.id, "me")
    engine = Engine(database, Limits())
    engine.start(instance)
    wait_until(lambda: instances.require_instance(database, instance.id).current.status in ENDS)
    engine.close()
    current = instances.require_instance(database, instance.id).current
    assert (current.status, current.reason) == (Status.FAILED, "GENERIC_ERROR")
    assert "null byte" in (current.details or "")


def test_log_is_limited_in_size_whatever_its_lines(database: Database, job: Job) -> None:
    instance = instances.create_instance(database, job.id, "me").id
    with LogWriter(database, instance, 100_000) as writer:
        for _ in range(66):
            writer.write("STDOUT", b"x" * (1 << 20))
            writer.flush(idle=False)
    assert logs.count_lines(database, instance, ["STDOUT"]) == 4096
    (line,) = logs.read_lines(database, instance, ["ORCHESTRATION_STDERR"])
    assert line.value == "Only the first 4096 lines are kept: they hold 64 MB"
