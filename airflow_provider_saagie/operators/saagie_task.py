"""What every task of this provider has: a connection, a hook, and a link that is there before the end."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_saagie.links.saagie import URL_XCOM_KEY, SaagieLink, ShowsLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.hooks.saagie import SaagieHook

__all__ = ["SaagieTask", "project_page", "show_link"]


class SaagieTask(ShowsLink, BaseOperator):
    """A task that talks to Saagie.

    :param saagie_conn_id: the connection's id (templated).
    """

    operator_extra_links = (SaagieLink(),)
    ui_color = "#e5f3f1"

    def __init__(self, *, saagie_conn_id: str = "saagie_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.saagie_conn_id = saagie_conn_id

    @cached_property
    def hook(self) -> SaagieHook:
        """The hook of the task's connection."""
        from airflow_provider_saagie.hooks.saagie import SaagieHook

        return SaagieHook(self.saagie_conn_id)


def project_page(job_url: str) -> str:
    """Give the address of the project that a job's page belongs to."""
    return job_url.rpartition("/job/")[0]


def show_link(context: Context, url: str) -> None:
    """Give the task its "Open in Saagie" button now, rather than at its end."""
    ti = context["ti"]
    ti.xcom_push(key=URL_XCOM_KEY, value=url)
    if isinstance(ti.task, ShowsLink):
        ti.task.shown_link = url
