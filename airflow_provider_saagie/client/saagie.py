"""The client as a whole: a session, and the API's face on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from airflow_provider_saagie.client import projects
from airflow_provider_saagie.client.jobs import Jobs
from airflow_provider_saagie.client.progress import shown
from airflow_provider_saagie.client.session import Session

if TYPE_CHECKING:
    from airflow_provider_saagie.client.progress import Progress
    from airflow_provider_saagie.client.settings import Settings

__all__ = ["SaagieClient"]


class SaagieClient:
    """Talks to one platform as one login. One thread at a time.

    :param settings: where, and as whom; see :func:`airflow_provider_saagie.client.settings.read_settings`.
    :param progress: what long uploads and downloads show; see :class:`airflow_provider_saagie.client.session.Session`.
    """

    def __init__(self, settings: Settings, *, progress: Progress = shown) -> None:
        self.settings = settings
        self.session = Session(settings, progress=progress)
        self.jobs = Jobs(self.session)

    def __enter__(self) -> Self:
        """Use the client in a ``with`` block, which closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def get_platform(self) -> dict[str, Any]:
        """Read the platform's id and name (``platform``).

        :raises SaagieError: the kind that fits: this is what the connection's test does.
        """
        return self.session.run(projects.read_platform())

    def get_project_id(self, project_name: str) -> str:
        """Find a project's id by its name (``projects``).

        :raises SaagieNotFound: listing the projects that this login sees.
        """
        return self.session.run(projects.get_project_id(project_name))
