"""The engine: takes instances from AWAITING to their end."""

from __future__ import annotations

import logging
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_saagie.emulator import artifacts, catalogue
from airflow_provider_saagie.emulator.engine import leftovers, workspace
from airflow_provider_saagie.emulator.engine.capture import capture
from airflow_provider_saagie.emulator.engine.log_writer import LogWriter
from airflow_provider_saagie.emulator.engine.process import JobProcess
from airflow_provider_saagie.emulator.engine.schedule import Scheduler
from airflow_provider_saagie.emulator.states import Status
from airflow_provider_saagie.emulator.store import instances, jobs, versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_saagie.emulator.store.database import Database
    from airflow_provider_saagie.emulator.store.records import Instance

log = logging.getLogger(__name__)

SCHEDULE = "schedule"  # who has started an instance, where it was nobody


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job may use.

    :param parallel: how many processes run at once; further instances stay QUEUED.
    :param seconds: how long one may run; None for as long as it likes.
    :param log_lines: how many lines of its output are kept.
    :param stop_seconds: from the polite signal to the one that can't be refused.
    """

    parallel: int = 50
    seconds: float | None = None
    log_lines: int = 100_000
    stop_seconds: float = 3.0


class Engine:
    """Runs jobs.

    :param database: the store.
    :param limits: what a job may use.
    :param simulate_seconds: run nothing: instances last that long by the clock alone.
    :param runners: the command that runs the jobs of a technology, by its id in the catalogue.
    """

    def __init__(
        self,
        database: Database,
        limits: Limits,
        simulate_seconds: float | None = None,
        runners: Mapping[str, str] | None = None,
    ) -> None:
        self._database = database
        self._runners = runners or {}
        self._limits = limits
        self.simulated_ms = None if simulate_seconds is None else round(simulate_seconds * 1000)
        self._running: dict[str, JobProcess] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._pool = ThreadPoolExecutor(limits.parallel, thread_name_prefix="job")
        self._bin = workspace.make_bin(database.folder)
        self._scheduler = Scheduler(database, self._run_scheduled)

    def recover(self) -> int:
        """End what an emulator that was killed has left behind.

        :return: how many instances were on their way then; they are FAILED now, or KILLED where they were KILLING.
        """
        orphans = instances.list_unfinished(self._database)
        leftovers.end_processes({one.id for one in orphans})
        for one in orphans:
            self._abandon(one, "The emulator was ended while the instance was on its way")
        shutil.rmtree(self._database.folder / "work", ignore_errors=True)
        artifacts.sweep(self._database.folder, versions.used_artifacts(self._database))
        return len(orphans)

    def keep_schedules(self) -> None:
        """Start scheduled jobs when they are due, from now on."""
        self._scheduler.start()

    def start(self, instance: Instance) -> None:
        """Take an AWAITING instance up; returns at once.

        :param instance: the instance.
        """
        if instance.simulated_ms is not None:
            return
        with self._database.writing():  # one write to the disk for both
            taken = all(instances.move(self._database, instance.id, one) for one in (Status.REQUESTED, Status.QUEUED))
        if taken:
            self._pool.submit(self._run, instance)

    def stop(self, instance_id: str) -> None:
        """End an instance that is KILLING; returns at once.

        :param instance_id: the instance's id.
        """
        with self._lock:
            process = self._running.get(instance_id)
            if process is not None:
                process.stop(self._limits.stop_seconds)
                return
        # It is simulated or still waits for its turn: nothing runs that could be ended.
        instances.move(self._database, instance_id, Status.KILLED)

    def forget(self, instance_id: str) -> None:
        """End an instance's process and leave its status to the caller.

        :param instance_id: the instance's id.
        """
        with self._lock:
            process = self._running.get(instance_id)
            if process is not None:
                process.forgotten = True
                process.kill()

    def close(self) -> None:
        """End all processes and wait for them."""
        self._scheduler.close()
        with self._lock:
            self._closing = True
            for process in self._running.values():
                process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for one in instances.list_unfinished(self._database):
            self._abandon(one, "The emulator was stopped while the instance was on its way")

    def _run_scheduled(self, job_id: str) -> None:
        self.start(
            instances.create_instance(
                self._database, job_id, SCHEDULE, self.simulated_ms, trigger=instances.BY_SCHEDULE
            )
        )

    def _abandon(self, instance: Instance, details: str) -> None:
        killing = instance.current.status is Status.KILLING
        end, reason = (Status.KILLED, None) if killing else (Status.FAILED, "UNEXPECTED_DELETION")
        instances.move(self._database, instance.id, end, reason, None if killing else details)

    def _run(self, instance: Instance) -> None:
        try:
            self._run_to_end(instance)
        except Exception as error:  # whatever goes wrong here must end the instance, not the thread
            log.exception("Instance %s could not be run", instance.id)
            self._end(instance.id, "GENERIC_ERROR", f"The emulator failed: {error}")

    def _run_to_end(self, instance: Instance) -> None:
        job = jobs.get_job(self._database, instance.job_id)
        version = versions.find_version(self._database, instance.job_id, instance.version_number)
        if job is None or version is None:
            return
        technology = catalogue.technologies()[job.technology_id]
        runner = self._runners.get(technology.technology_id)
        if runner is None and technology.technology_id not in workspace.RUNNABLE:
            self._end(
                instance.id,
                "GENERIC_ERROR",
                f"The emulator runs Python and Bash jobs; for {technology.label} jobs start it with"
                f" --run-with {technology.technology_id}=COMMAND",
            )
            return
        platform = jobs.platform_of(self._database, job.id)
        place = workspace.prepare(self._database.folder, self._bin, platform, job, version, instance, runner)
        try:
            self._run_process(instance.id, place)
        finally:
            shutil.rmtree(place.folder, ignore_errors=True)

    def _run_process(self, instance_id: str, place: workspace.Workspace) -> None:
        with self._lock:
            if self._closing or not instances.move(self._database, instance_id, Status.RUNNING):
                return  # stopped while it waited
            process = JobProcess(place)
            self._running[instance_id] = process
        try:
            with LogWriter(self._database, instance_id, self._limits.log_lines) as writer:
                in_time = capture(process, writer, self._limits.seconds)
                exit_code = process.wait()
        finally:
            process.kill()
            leftovers.end_processes({instance_id})  # children that left the group
            with self._lock:
                del self._running[instance_id]
        if self._closing or process.forgotten:
            return
        outputs = workspace.read_outputs(place)
        if outputs:
            instances.set_outputs(self._database, instance_id, outputs)
        if exit_code == 0:
            self._end(instance_id, None, None)
        else:
            details = f"exit code {exit_code}" if in_time else f"took longer than {self._limits.seconds:g} seconds"
            self._end(instance_id, "GENERIC_ERROR", details)

    def _end(self, instance_id: str, reason: str | None, details: str | None) -> None:
        """Give an instance its end: KILLED where somebody wanted it stopped, whatever its exit code."""
        if not instances.move(self._database, instance_id, Status.KILLED):
            end = Status.FAILED if reason else Status.SUCCEEDED
            instances.move(self._database, instance_id, end, reason, details)
