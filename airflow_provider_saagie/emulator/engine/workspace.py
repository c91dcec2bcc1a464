"""Where a job runs: a folder, an environment and a command of its own."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_saagie.emulator.artifacts import path_of
from airflow_provider_saagie.emulator.catalogue import docker_image

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.store.records import Instance, Job, Version

RUNNABLE = ("python", "bash")
INSTANCE_VARIABLE = "SAAGIE_JOB_INSTANCE_ID"
OUTPUTS_VARIABLE = "SAAGIE_OUTPUT_VARS_PATH"
_OUTPUTS_FILE = ".output-vars.properties"  # no artifact is called so: theirs begin with no dot
_OUTPUTS_LIMIT = 1 << 20
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Workspace:
    """What a process is started with."""

    folder: Path
    command: str
    environment: dict[str, str]


def make_bin(data: Path) -> Path:
    """Make the folder in which jobs find `python` and `python3`: the emulator's own interpreter.

    :param data: the data folder.
    :return: the folder with the two.
    """
    folder = data / "bin"
    folder.mkdir(exist_ok=True)
    for name in ("python", "python3"):
        # A script rather than a link: through a link Python would miss its virtual environment.
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    return folder


def prepare(
    data: Path,
    tools: Path,
    platform: int,
    job: Job,
    version: Version,
    instance: Instance,
    runner: str | None = None,
) -> Workspace:
    """Lay out a folder for an instance.

    :param data: the data folder.
    :param tools: what `make_bin` returned.
    :param platform: the platform's number.
    :param job: the job.
    :param version: the version that runs.
    :param instance: the instance.
    :param runner: a command to run it with, which finds the job's own command, runtime and image in its environment.
    :return: where and how to run it.
    """
    folder = (data / "work" / instance.id).resolve()
    folder.mkdir(parents=True)
    if version.artifact and version.artifact_name:
        shutil.copyfile(path_of(data, version.artifact), folder / version.artifact_name)
    environment = {
        "PATH": f"{tools.resolve()}:{_SYSTEM_PATH}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "SAAGIE_PLATFORM_ID": str(platform),
        "SAAGIE_PROJECT_ID": job.project_id,
        "SAAGIE_JOB_ID": job.id,
        INSTANCE_VARIABLE: instance.id,
        OUTPUTS_VARIABLE: str(folder / _OUTPUTS_FILE),
    }
    command = (version.command_line or "").replace("{file}", shlex.quote(version.artifact_name or ""))
    if runner is not None:
        environment |= {
            "SAAGIE_JOB_COMMAND": command,
            "SAAGIE_JOB_RUNTIME": version.runtime_version or "",
            "SAAGIE_JOB_IMAGE": docker_image(job.technology_id, version.runtime_version, version.docker),
        }
    return Workspace(folder, command if runner is None else runner, environment)


def read_outputs(place: Workspace) -> dict[str, str]:
    """Read what a job wrote for others: lines of `KEY=value`; other lines are ignored.

    :param place: where it ran.
    :return: its variables.
    """
    file = Path(place.environment[OUTPUTS_VARIABLE])
    if file.is_symlink() or not file.is_file():
        return {}
    with file.open("rb") as stream:
        text = stream.read(_OUTPUTS_LIMIT).decode("utf-8", "replace")
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs if key.strip()}
