"""The technology catalogue: names become the ids that jobs are made of."""

from __future__ import annotations

from airflow_provider_saagie.client import answers
from airflow_provider_saagie.client.calls import Call, Steps
from airflow_provider_saagie.client.projects import listed
from airflow_provider_saagie.exceptions import SaagieValidationError

__all__ = ["check_runtime", "find_technology"]


def find_technology(technology: str, catalog: str, allowed: dict[str, list[str]], category: str) -> Steps[str]:
    """Find a technology by its label in a catalogue (``repositories``), for a category of a project.

    :param technology: the label, in any case.
    :param catalog: the catalogue's name, in any case.
    :param allowed: the project's technologies by category.
    :param category: the job's category.
    :return: the technology's id.
    :raises SaagieValidationError: listing what there is.
    """
    if category not in allowed:
        raise SaagieValidationError(f"`category` is {category!r}: the project has {listed(allowed)}.")
    catalogs = answers.rows((yield Call("repositories")), "repositories")
    of_name = [row for row in catalogs if str(row.get("name")).lower() == catalog.lower()]
    if not of_name:
        raise SaagieValidationError(
            f"`technology_catalog` is {catalog!r}: the platform has {listed(row.get('name') for row in catalogs)}."
        )
    offered = [row for row in answers.rows(of_name[0], "technologies") if row.get("available") is True]
    usable = [row for row in offered if row.get("id") in allowed[category]]
    found = [row for row in usable if str(row.get("label")).lower() == technology.lower()]
    if not found:
        in_catalog = any(str(row.get("label")).lower() == technology.lower() for row in offered)
        why = (
            f"the project does not allow it for {category}" if in_catalog else f"the catalogue {catalog!r} has no such"
        )
        raise SaagieValidationError(
            f"`technology` is {technology!r}: {why}. For {category} it could be "
            f"{listed(row.get('label') for row in usable)}."
        )
    return str(found[0]["id"])


def check_runtime(technology_id: str, runtime_version: str) -> Steps[str]:
    """Check that a technology has a runtime that can be used (``technology.contexts``).

    :param technology_id: the technology.
    :param runtime_version: the runtime's id, or its label.
    :return: its id.
    :raises SaagieValidationError: listing what there is.
    """
    data = yield Call("technologyContexts", {"technologyId": technology_id})
    technology = answers.known(
        data, "technology", operation="technologyContexts", what=f"technology {technology_id} in its catalogue"
    )
    contexts = [row for row in answers.rows(technology, "contexts") if row.get("available") is True]
    for key in ("id", "label"):
        for row in contexts:
            if row.get(key) == runtime_version:
                return str(row["id"])
    raise SaagieValidationError(
        f"`runtime_version` is {runtime_version!r}: {technology.get('label') or 'the technology'} has "
        f"{listed(row.get('id') for row in contexts)}."
    )
