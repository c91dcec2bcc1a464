"""The "Open in Saagie" button of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

__all__ = ["SaagieLink", "ShowsLink"]

URL_XCOM_KEY = "_link_SaagieLink"
"""Where Airflow 3 keeps the link; the operators push it as soon as they know it, also with ``do_xcom_push=False``."""


class ShowsLink:
    """What a task knows, in the process that runs it, of its own link.

    Airflow stores a task's link anew as the process ends, and at each deferral. It asks :class:`SaagieLink` for it
    there; an XCom that is missing would be an error line in the task's log.
    """

    shown_link: str | None = None
    """The link that this process has shown last."""
    resumed_to_end: bool = False
    """Whether the task goes on in this process after a wait, which began with a link."""

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Note what Airflow resumes the task for."""
        self.note_resumption(next_method)
        return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]  # the operator's own

    def note_resumption(self, next_method: str) -> None:
        """Note what Airflow resumes the task for, where the task does not go on through ``resume_execution`` above."""
        self.resumed_to_end = next_method in ("execute_complete", "__fail__")


class SaagieLink(BaseOperatorLink):
    """Leads to the job's or the instance's page in Saagie."""

    name = "Open in Saagie"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Give the address that the task has shown.

        :param operator: the task.
        :param ti_key: its instance.
        :return: the address, or an empty text before there is one.
        """
        if isinstance(operator, ShowsLink):
            if operator.shown_link:
                return operator.shown_link
            if not operator.resumed_to_end:
                return ""
        return XCom.get_value(key=URL_XCOM_KEY, ti_key=ti_key) or ""
