"""The connection's form, defined once: Airflow 3 reads it from the provider's info, older code asks the hook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["CONNECTION_TYPE", "EXTRA_FIELDS", "FormField", "conn_fields", "ui_field_behaviour"]

CONNECTION_TYPE = "saagie"


@dataclass(frozen=True)
class FormField:
    """A field of the form that is kept in the connection's extra.

    Numbers are kept as numbers, and texts have no short default: for each text of less than five characters Airflow's
    masker, which takes the whole extra for secrets, puts a warning into the task's log.

    :param name: its key in the extra.
    :param label: what stands before it.
    :param help: what stands below it.
    :param type: its JSON type.
    :param default: what a new connection has.
    :param minimum: the smallest number allowed.
    """

    name: str
    label: str
    help: str
    type: str = "string"
    default: Any = None
    minimum: float | None = None


EXTRA_FIELDS = (
    FormField(
        "platform_id",
        "Platform number",
        "The number behind /platform/ in Saagie's addresses. May stay empty if the URL is such an address.",
        type="integer",
        minimum=0,
    ),
    FormField(
        "realm",
        "Realm",
        "Empty: the URL's first part, up to a dash, such as acme in https://acme-workspace.prod.saagie.io.",
    ),
    FormField(
        "verify",
        "Verify TLS",
        "Empty: yes. Otherwise false, with a warning in each task's log, or the path of a CA bundle that workers and "
        "triggerers have.",
    ),
    FormField(
        "allow_http",
        "Allow plain http",
        "Plain http shows the password to the network. It is always allowed to this machine itself.",
        type="boolean",
        default=False,
    ),
    FormField("proxy", "Proxy", "The URL of a proxy for this platform, such as http://proxy.acme.io:3128."),
    FormField(
        "timeout",
        "Timeout (seconds)",
        "How long to wait for the next bytes of an answer, and for a connection (10 s at most).",
        type="number",
        default=30,
        minimum=1,
    ),
    FormField(
        "retries",
        "Retries",
        "How often a failed request is repeated, if that is safe.",
        type="integer",
        default=5,
        minimum=0,
    ),
)

HIDDEN = ("schema",)
# The port is part of the URL and could be hidden too, but Airflow 3.3.1 and 3.3.2 answer 400 to the Test button where
# none is stored (apache/airflow#73298).
RELABELLED = {"host": "Platform URL", "port": "Port (optional)", "login": "Login", "password": "Password"}
PLACEHOLDERS = {
    "host": "https://acme-workspace.prod.saagie.io/projects/platform/6/",
    "port": "443; without it Airflow 3.3.1 and 3.3.2 refuse to test the connection",
    "login": "airflow@acme.io",
    "password": "",
}


def conn_fields() -> dict[str, Any]:
    """Give the extra fields as the provider's info holds them (``conn-fields``)."""
    return {field.name: _conn_field(field) for field in EXTRA_FIELDS}


def ui_field_behaviour() -> dict[str, Any]:
    """Give what the form does with Airflow's own fields, in Python's spelling."""
    return {"hidden_fields": list(HIDDEN), "relabeling": dict(RELABELLED), "placeholders": dict(PLACEHOLDERS)}


def _conn_field(field: FormField) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": [field.type, "null"]}
    if field.default is not None:
        schema["default"] = field.default
    if field.minimum is not None:
        schema["minimum"] = field.minimum
    return {"label": field.label, "description": field.help, "schema": schema}
