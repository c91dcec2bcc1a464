"""What the store hands out: one frozen record a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_saagie.emulator.states import Status


@dataclass(frozen=True, slots=True)
class Project:
    """A project of one platform; moments are milliseconds since 1970."""

    id: str
    platform: int
    name: str
    creator: str
    description: str | None
    created_at: int


@dataclass(frozen=True, slots=True)
class Job:
    """A job without its versions and instances."""

    id: str
    project_id: str
    name: str
    alias: str
    description: str | None
    category: str
    technology_id: str
    is_scheduled: bool
    cron: str | None
    timezone: str | None
    is_streaming: bool
    uses_gpu: bool
    alerting: dict[str, Any] | None
    resources: dict[str, Any] | None
    original_job_id: str | None
    created_at: int


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a job; `artifact` is the stored file's key, `artifact_name` what users call it."""

    job_id: str
    number: int
    created_at: int
    creator: str
    release_note: str | None
    runtime_version: str | None
    command_line: str | None
    artifact: str | None
    artifact_name: str | None
    docker: dict[str, Any] | None
    extra_technology: dict[str, Any] | None
    source_url: str | None
    is_current: bool
    is_major: bool


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """A status that an instance has had, since when and why."""

    status: Status
    reason: str | None
    details: str | None
    recorded_at: int


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of a job and its current status; `trigger` is a value of TriggerType."""

    id: str
    job_id: str
    number: int
    version_number: int
    current: StatusRecord
    started_at: int
    ended_at: int | None
    trigger: str
    author: str
    stop_author: str | None
    outputs: dict[str, str] | None
    simulated_ms: int | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of an instance's log."""

    index: int
    stream: str
    value: str
