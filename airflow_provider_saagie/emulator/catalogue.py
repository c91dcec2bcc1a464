"""The technologies that the emulator knows, as the gateway shows them. Ids never change between versions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMESPACE = UUID("6d1f2b62-4f5a-4f39-9a55-0d2a5e1c7a10")
CATEGORIES = ("Extraction", "Processing", "Smart App")
LAST_UPDATE = 1_767_225_600_000  # 2026-01-01T00:00:00Z
DEFAULT_RESOURCES = {"cpu": {"limit": 1.0}, "memory": {"limit": "1 GB"}}


@dataclass(frozen=True, slots=True)
class DockerInfo:
    """The image that stands behind a context."""

    image: str
    version: str


@dataclass(frozen=True, slots=True)
class Context:
    """A version of a technology that a job can ask for as its runtime, by `id`."""

    id: str
    label: str
    docker_info: DockerInfo
    available: bool = True
    recommended: bool = False
    trust_level: str = "Stable"
    languages: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Technology:
    """A technology of a catalogue; `kind` is its GraphQL type."""

    kind: str
    technology_id: str
    label: str
    description: str
    contexts: tuple[Context, ...]
    available: bool = True
    repository_id: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A repository of technologies."""

    name: str
    read_only: bool
    technologies: tuple[Technology, ...]
    id: str = field(default="")


def _contexts(image: str, *ids: str, recommended: str, gone: str = "", label: str = "{}") -> tuple[Context, ...]:
    return tuple(
        Context(
            id=one,
            label=label.format(one),
            docker_info=DockerInfo(f"saagie/{image}", f"{one}-1.0.0"),
            available=one != gone,
            recommended=one == recommended,
            trust_level="Deprecated" if one == gone else "Stable",
        )
        for one in ids
    )


_SPARK_LANGUAGES = (("Java/Scala", ("8", "11")), ("Python", ("3.9", "3.10")))

_CATALOGUES = (
    Catalogue(
        name="Saagie",
        read_only=True,
        technologies=(
            Technology(
                "JobTechnology",
                "python",
                "Python",
                "Runs for real: the interpreter is the emulator's own, whatever the version.",
                _contexts("python", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", recommended="3.11", gone="3.8"),
            ),
            Technology(
                "JobTechnology",
                "bash",
                "Bash",
                "Runs for real, with the bash of this machine.",
                _contexts("bash", "debian10-buster", "debian11-bullseye", "debian12-bookworm",
                          recommended="debian12-bookworm", gone="debian10-buster"),
            ),
            Technology(
                "JobTechnology",
                "java-scala",
                "Java/Scala",
                "Runs where --run-with says how; without, an instance ends at once.",
                _contexts("java-scala", "8", "11", "17", recommended="17"),
            ),
            Technology(
                "SparkTechnology",
                "spark",
                "Spark",
                "Runs where --run-with says how; without, an instance ends at once.",
                tuple(
                    replace(one, languages=_SPARK_LANGUAGES)
                    for one in _contexts("spark", "3.1", "3.3", "3.5", recommended="3.5", label="Spark {}")
                ),
            ),
            Technology(
                "AppTechnology",
                "jupyter",
                "Jupyter Notebook",
                "Listed only: the emulator has no apps.",
                _contexts("jupyter-python-nbk", "jupyterlab-3.11", recommended="jupyterlab-3.11",
                          label="JupyterLab ({})"),
            ),
        ),
    ),
    Catalogue(
        name="Saagie Community",
        read_only=False,
        technologies=(
            Technology(
                "JobTechnology",
                "r",
                "R",
                "Runs where --run-with says how; without, an instance ends at once.",
                _contexts("r", "4.2", "4.3", recommended="4.3"),
            ),
            Technology(
                "JobTechnology",
                "generic",
                "Generic",
                "Runs where --run-with says how; without, an instance ends at once.",
                _contexts("generic", "docker", recommended="docker"),
            ),
        ),
    ),
)  # fmt: skip


def _identified(catalogue: Catalogue) -> Catalogue:
    catalogue_id = str(uuid5(_NAMESPACE, catalogue.name))
    return replace(
        catalogue,
        id=catalogue_id,
        technologies=tuple(
            replace(one, repository_id=catalogue_id, id=str(uuid5(_NAMESPACE, f"{catalogue.name}/{one.technology_id}")))
            for one in catalogue.technologies
        ),
    )


CATALOGUES = tuple(_identified(one) for one in _CATALOGUES)


@cache
def technologies() -> dict[str, Technology]:
    """List all technologies of all catalogues.

    :return: each by its id.
    """
    return {one.id: one for catalogue in CATALOGUES for one in catalogue.technologies}


def job_technologies() -> list[str]:
    """List what a job can be made of.

    :return: the technologies' ids.
    """
    return [one.id for one in technologies().values() if one.kind != "AppTechnology"]


def find_context(technology_id: str, context_id: str | None) -> Context | None:
    """Look up a runtime.

    :param technology_id: the technology's id.
    :param context_id: the runtime's id.
    :return: the context, or None.
    """
    technology = technologies().get(technology_id)
    return next((one for one in technology.contexts if one.id == context_id), None) if technology else None


def docker_image(technology_id: str, context_id: str | None, own: Mapping[str, Any] | None = None) -> str:
    """Tell which image an instance would run in.

    :param technology_id: the technology's id.
    :param context_id: the runtime's id.
    :param own: the `dockerInfo` of a version that brings its own image.
    :return: image and tag.
    """
    if own:
        return str(own["image"])
    context = find_context(technology_id, context_id)
    return f"{context.docker_info.image}:{context.docker_info.version}" if context else "saagie/unknown:latest"
