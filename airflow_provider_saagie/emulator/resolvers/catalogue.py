"""The gateway: catalogues, technologies, contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import InterfaceType, ObjectType, QueryType

from airflow_provider_saagie.emulator.catalogue import (
    CATALOGUES,
    DEFAULT_RESOURCES,
    LAST_UPDATE,
    Catalogue,
    Context,
    Technology,
    technologies,
)

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.resolvers.context import Info
query = QueryType()
repository = ObjectType("Repository")
technology = InterfaceType("Technology")


@query.field("repositories")
def repositories(_: object, info: Info) -> tuple[Catalogue, ...]:  # noqa: ARG001, GraphQL calls it so
    """List the catalogues."""
    return CATALOGUES


@query.field("repository")
def one_repository(_: object, info: Info, id: str) -> Catalogue | None:  # noqa: A002, ARG001, the schema's name
    """Look up a catalogue."""
    return next((one for one in CATALOGUES if one.id == id), None)


@query.field("technology")
def one_technology(_: object, info: Info, id: str) -> Technology | None:  # noqa: A002, ARG001, the schema's name
    """Look up a technology."""
    return technologies().get(id)


@query.field("technologiesByIds")
def technologies_by_ids(_: object, info: Info, ids: list[str]) -> list[Technology]:  # noqa: ARG001
    """Look up several technologies; unknown ids are left out."""
    return [technologies()[one] for one in ids if one in technologies()]


@technology.type_resolver
def technology_kind(found: Technology, *_: object) -> str:
    """Tell a technology's GraphQL type."""
    return found.kind


def _constant(value: Any) -> Any:
    return lambda *_: value


def _spark_languages(context: Context, *_: object) -> list[dict[str, Any]]:
    return [
        _plain_context(language, language)
        | {"job_contexts": [_plain_context(version, version) | {"docker_info": context.docker_info} for version in ids]}
        for language, ids in context.languages
    ]


def _plain_context(context_id: str, label: str) -> dict[str, Any]:
    return {"id": context_id, "label": label, "available": True, "recommended": False, "trust_level": "Stable"}


for name, value in {
    "creator": "saagie",
    "editor": "saagie",
    "creationDate": LAST_UPDATE,
    "modificationDate": LAST_UPDATE,
}.items():
    repository.set_field(name, _constant(value))

# What every technology and every context answers alike.
_COMMON: dict[str, Any] = {
    "facets": [],
    "missingFacets": [],
    "lastUpdate": LAST_UPDATE,
    "defaultResources": DEFAULT_RESOURCES,
}
_TECHNOLOGY = _COMMON | {"customFlags": []}
_CONTEXT = _COMMON | {"job": {"features": []}}
_APP_CONTEXT = _COMMON | {"ports": [], "volumes": []}


def _bind(type_name: str, constants: dict[str, Any], leave_out: tuple[str, ...] = ()) -> ObjectType:
    bound = ObjectType(type_name)
    for field, value in constants.items():
        if field not in leave_out:
            bound.set_field(field, _constant(value))
    return bound


_spark_context = _bind("SparkContext", _CONTEXT, leave_out=("lastUpdate",))
_spark_context.set_field("technologyContexts", _spark_languages)
_app_technology = _bind("AppTechnology", _TECHNOLOGY)
_app_technology.set_field("appContexts", lambda found, *_: found.contexts)
_app_technology.set_field("baseline", lambda found, *_: found.description)

BINDABLES = (
    query,
    repository,
    technology,
    InterfaceType("Context", type_resolver=lambda *_: "JobContext"),
    _bind("JobTechnology", _TECHNOLOGY),
    _bind("SparkTechnology", _TECHNOLOGY | {"customFlags": ["Spark"]}),
    _app_technology,
    _bind("JobContext", _CONTEXT),
    _spark_context,
    _bind("SparkTechnologyContext", _CONTEXT, leave_out=("lastUpdate",)),
    _bind("SparkJobContext", _CONTEXT),
    _bind("AppCatalogContext", _APP_CONTEXT),
)
