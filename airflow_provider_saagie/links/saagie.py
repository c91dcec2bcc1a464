"""The "Open in Saagie" button of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

__all__ = ["SaagieLink"]

URL_XCOM_KEY = "_link_SaagieLink"
"""Where Airflow 3 keeps the link; the operators push it as soon as they know it, also with ``do_xcom_push=False``."""


class SaagieLink(BaseOperatorLink):
    """Leads to the job's or the instance's page in Saagie."""

    name = "Open in Saagie"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Give the address that the task has stored.

        :param operator: the task.
        :param ti_key: its instance.
        :return: the address, or an empty text before there is one.
        """
        return XCom.get_value(key=URL_XCOM_KEY, ti_key=ti_key) or ""
