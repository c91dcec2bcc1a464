"""How a task names its job (by id, by name and project, or by alias and project), or else its project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from airflow_provider_saagie.client.checks import identifier
from airflow_provider_saagie.exceptions import SaagieValidationError

if TYPE_CHECKING:
    from airflow_provider_saagie.client.definitions import JobSummary
    from airflow_provider_saagie.client.saagie import SaagieClient

__all__ = ["JOB_FIELDS", "NamesJob", "NamesProject", "find_job", "find_job_id", "find_project_id", "given_id"]

JOB_FIELDS = ("job_id", "job_name", "project_name", "job_alias", "project_id")
"""The template fields of every task that names a job."""
NOTHING_FOUND = "None"
"""What a template makes of an XCom that is not there."""


class NamesJob(Protocol):
    """Whatever names a job."""

    job_id: str | None
    job_name: str | None
    project_name: str | None
    job_alias: str | None
    project_id: str | None


class NamesProject(Protocol):
    """Whatever names a project, and no job in it."""

    project_id: str | None
    project_name: str | None


def find_job_id(task: NamesJob, client: SaagieClient) -> str:
    """Find the id of the job that a task names.

    :param task: the task, its templates filled.
    :param client: the platform's client.
    :return: the job's id.
    :raises SaagieValidationError: where the task names none, or names it in more than one way.
    :raises SaagieNotFound: where there is no such job, listing what there is.
    """
    ways = {
        "job_id": bool(task.job_id),
        "job_name and project_name": bool(task.job_name),
        "job_alias and project_id": bool(task.job_alias),
    }
    chosen = [way for way, is_chosen in ways.items() if is_chosen]
    if len(chosen) != 1:
        given = f"it gives {', and '.join(chosen)}" if chosen else "it gives none of them"
        raise SaagieValidationError(f"The task should name its job by one of {'; '.join(ways)}: {given}.")
    if task.job_id:
        return given_id("job_id", task.job_id)
    if task.job_name:
        if not task.project_name:
            raise SaagieValidationError("`job_name` is given without `project_name`, the project to look for it in.")
        return client.jobs.get_id(task.job_name, task.project_name)
    if not task.project_id:
        raise SaagieValidationError("`job_alias` is given without `project_id`, the project to look for it in.")
    project_id = given_id("project_id", task.project_id)
    found = client.jobs.get_info_by_alias(project_id, str(task.job_alias), instances_limit=1)
    return str(found["jobByAlias"]["id"])


def find_project_id(task: NamesProject, client: SaagieClient) -> str:
    """Find the id of the project that a task names.

    :param task: the task, its templates filled.
    :param client: the platform's client.
    :return: the project's id.
    :raises SaagieValidationError: where the task names none, or names it in both ways.
    :raises SaagieNotFound: where there is none of that name, listing what there is.
    """
    if bool(task.project_id) == bool(task.project_name):
        raise SaagieValidationError("The task should name its project by one of `project_id` and `project_name`.")
    return given_id("project_id", task.project_id) if task.project_id else client.get_project_id(str(task.project_name))


def given_id(name: str, value: object) -> str:
    """Check an id that a task was given.

    :param name: the parameter's name.
    :param value: the id, its template filled.
    :raises SaagieValidationError: where it is none.
    """
    if value == NOTHING_FOUND:
        raise SaagieValidationError(
            f"`{name}` is {value!r}: its template found nothing. Has the task whose result it takes run, and does it "
            "give one?"
        )
    return identifier(name, value)


def find_job(task: NamesJob, client: SaagieClient) -> JobSummary:
    """Find the job that a task names, and read what running it needs to know; see :func:`find_job_id`."""
    from airflow_provider_saagie.client.definitions import read_summary

    return client.session.run(read_summary(find_job_id(task, client)))
