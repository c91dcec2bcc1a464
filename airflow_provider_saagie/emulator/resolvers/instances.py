"""Instances of jobs: running, watching, stopping them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import InterfaceType, MutationType, ObjectType, QueryType

from airflow_provider_saagie.emulator import catalogue
from airflow_provider_saagie.emulator.errors import NotFoundError
from airflow_provider_saagie.emulator.store import instances, jobs, versions

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.resolvers.context import Context, Info
    from airflow_provider_saagie.emulator.store.records import Instance, StatusRecord, Version

query = QueryType()
mutation = MutationType()
instance_type = ObjectType("JobInstance")
history_type = ObjectType("InstanceHistory")
status_type = ObjectType("InstanceStatusDetails")


@query.field("jobInstance")
def one_instance(_: object, info: Info, id: str) -> Instance | None:  # noqa: A002, the schema's name
    """Look up an instance."""
    context = info.context
    return instances.find_instance(context.database, context.platform, id)


@mutation.field("runJob")
def run_job(_: object, info: Info, job_id: str) -> Instance:
    """Start an instance of a job's current version."""
    context = info.context
    jobs.require_job(context.database, context.platform, job_id)
    instance = instances.create_instance(context.database, job_id, context.login, context.engine.simulated_ms)
    context.engine.start(instance)
    return instance


@mutation.field("stopJobInstance")
def stop_instance(_: object, info: Info, job_instance_id: str) -> Instance:
    """Stop an instance."""
    context = info.context
    require_instance(context, job_instance_id)
    stopping = instances.ask_to_stop(context.database, job_instance_id, context.login)
    context.engine.stop(job_instance_id)
    return stopping


@instance_type.field("history")
def history(instance: Instance, *_: object) -> Instance:
    """Hand the instance on to its history's fields."""
    return instance


@history_type.field("currentStatus")
def current_status(instance: Instance, *_: object) -> StatusRecord:
    """Tell what an instance is now."""
    return instance.current


@history_type.field("statuses")
def statuses(instance: Instance, info: Info) -> list[StatusRecord]:
    """Tell what an instance has been through."""
    return instances.history(info.context.database, instance)


@instance_type.field("version")
def version_of(instance: Instance, info: Info) -> Version:
    """Look up the version that an instance runs."""
    return versions.require_version(info.context.database, instance.job_id, instance.version_number)


@instance_type.field("jobAlias")
def job_alias(instance: Instance, info: Info) -> str | None:
    """Tell the alias of an instance's job."""
    job = jobs.get_job(info.context.database, instance.job_id)
    return job.alias if job else None


@instance_type.field("effectiveDockerImage")
def effective_docker_image(instance: Instance, info: Info) -> str:
    """Tell which image an instance would run in."""
    database = info.context.database
    version = versions.require_version(database, instance.job_id, instance.version_number)
    job = jobs.get_job(database, instance.job_id)
    return catalogue.docker_image(job.technology_id if job else "", version.runtime_version, version.docker)


@instance_type.field("runTrigger")
def run_trigger(instance: Instance, *_: object) -> dict[str, str]:
    """Tell what started an instance, and who, where it was somebody."""
    author = {} if instance.trigger == instances.BY_SCHEDULE else {"author": instance.author}
    return {**author, "trigger_type": instance.trigger}


@instance_type.field("stopTrigger")
def stop_trigger(instance: Instance, *_: object) -> dict[str, str] | None:
    """Tell who stopped an instance."""
    return {"author": instance.stop_author, "trigger_type": instances.BY_HAND} if instance.stop_author else None


@instance_type.field("executionVariablesOutput")
def outputs(instance: Instance, *_: object) -> list[dict[str, Any]] | None:
    """Tell what an instance hands on."""
    if instance.outputs is None:
        return None
    return [
        {"key": key, "value": None if is_password(key) else value, "is_password": is_password(key)}
        for key, value in instance.outputs.items()
    ]


@instance_type.field("executionVariablesByKey")
def variables_by_key(instance: Instance, *_: object) -> list[dict[str, Any]]:
    """Tell what an instance was given and hands on, by key."""
    return [
        {
            "key_variable": one["key"],
            "is_password": one["is_password"],
            "value_variables_input_by_job_instance": [],
            "value_variable_output": one["value"],
        }
        for one in outputs(instance) or ()
    ]


@instance_type.field("deletableState")
def deletable_state(instance: Instance, *_: object) -> dict[str, Any]:
    """Tell whether an instance can be deleted, and why not."""
    ended = instance.ended_at is not None
    return {"deletable": ended, "reasons": [] if ended else ["INSTANCE_NOT_TERMINATED"]}


for _name, _resolve in {
    "status": lambda instance, *_: instance.current.status,
    "statusDetails": lambda instance, *_: instance.current.details,
    "startTime": lambda instance, *_: instance.started_at,
    "endTime": lambda instance, *_: instance.ended_at,
    "executionVariablesInput": lambda *_: (),
    "executionGlobalVariablesInput": lambda *_: (),
}.items():
    instance_type.set_field(_name, _resolve)

status_type.set_field("recordAt", lambda record, *_: record.recorded_at)


def require_instance(context: Context, instance_id: str) -> Instance:
    """Look up an instance that has to exist.

    :param context: the request's context.
    :param instance_id: the instance's id.
    :return: the instance.
    :raises NotFoundError: where there is none on this platform.
    """
    instance = instances.find_instance(context.database, context.platform, instance_id)
    if instance is None:
        raise NotFoundError(f"Job instance {instance_id} does not exist on platform {context.platform}")
    return instance


def is_password(key: str) -> bool:
    """Tell whether a variable's value must not be shown.

    :param key: the variable's name.
    :return: True where the name says so.
    """
    return "PASSWORD" in key.upper() or "SECRET" in key.upper()


BINDABLES = (
    query,
    mutation,
    instance_type,
    history_type,
    status_type,
    InterfaceType(
        "Trigger", type_resolver=lambda found, *_: "AuthoredTrigger" if "author" in found else "AnonymousTrigger"
    ),
)
