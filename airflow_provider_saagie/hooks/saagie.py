"""SaagieHook: an Airflow connection becomes a client."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_saagie import airflow_compat
from airflow_provider_saagie.client.settings import Settings, read_settings, user_agent
from airflow_provider_saagie.connection_form import CONNECTION_TYPE, EXTRA_FIELDS, ui_field_behaviour
from airflow_provider_saagie.exceptions import SaagieError, SaagieValidationError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_saagie.client.jobs import Jobs
    from airflow_provider_saagie.client.saagie import SaagieClient

__all__ = ["SaagieHook", "read_settings_async", "settings_of"]


class SaagieHook(BaseHook):
    """Talks to Saagie over an Airflow connection. One thread at a time: where there are more, each makes its own.

    .. code-block:: python

        @task
        def clean(job_id: str) -> int:
            return SaagieHook().jobs.delete_instances_by_selector(job_id, "SUCCEEDED")["deleteJobInstancesBySelector"]

    :param saagie_conn_id: the connection's id.
    """

    conn_name_attr = "saagie_conn_id"
    default_conn_name = "saagie_default"
    conn_type = CONNECTION_TYPE
    hook_name = "Saagie"

    def __init__(self, saagie_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.saagie_conn_id = saagie_conn_id
        self._client: SaagieClient | None = None

    @cached_property
    def settings(self) -> Settings:
        """The connection's settings, checked.

        :raises SaagieValidationError: naming the field that is missing or wrong.
        """
        settings = settings_of(self.get_connection(self.saagie_conn_id), **_where_we_run())
        if settings.verify is False:
            self.log.warning(
                "The connection %r does not verify TLS (verify=false): whoever is on the way can read the password.",
                self.saagie_conn_id,
            )
        return settings

    def get_conn(self) -> SaagieClient:
        """Give the client; it logs in when it is first used and is kept for as long as the hook is.

        :raises SaagieValidationError: naming the connection's field that is missing or wrong.
        """
        if self._client is None:
            from airflow_provider_saagie.client.saagie import SaagieClient

            self._client = SaagieClient(self.settings)
        return self._client

    @property
    def jobs(self) -> Jobs:
        """Saagie's Jobs API, with the names, parameters and shapes of its reference."""
        return self.get_conn().jobs

    def close(self) -> None:
        """Close the client's connections, where there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def test_connection(self) -> tuple[bool, str]:
        """Log in and read the platform, for the form's Test button and ``airflow connections test``.

        :return: whether it worked, and what to tell the user.
        """
        from airflow_provider_saagie.client.saagie import SaagieClient

        try:
            settings = replace(self.settings, retries=0)
            with SaagieClient(settings) as client:
                platform = client.get_platform()
        except SaagieError as error:
            return False, str(error)
        name = f" ({platform['name']})" if platform.get("name") else ""
        warning = " TLS is not verified." if settings.verify is False else ""
        return True, (
            f"Logged in to {settings.base_url} as {settings.login} in the realm {settings.realm}; "
            f"platform {settings.platform_id}{name} answers.{warning}"
        )

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Give what the form does with Airflow's own fields (newer Airflow reads the provider's info instead)."""
        return ui_field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Give the form's extra fields as widgets (newer Airflow reads the provider's info instead)."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from flask_babel import lazy_gettext
        from wtforms import BooleanField, IntegerField, StringField

        # Airflow drops the whole connection type for a field of any other class, such as FloatField.
        kinds = {"boolean": BooleanField, "number": IntegerField, "integer": IntegerField, "string": StringField}
        return {
            field.name: kinds[field.type](
                lazy_gettext(field.label),
                description=field.help,
                default=field.default,
                **({} if field.type == "boolean" else {"widget": BS3TextFieldWidget()}),
            )
            for field in EXTRA_FIELDS
        }


def settings_of(connection: Connection, **where: object) -> Settings:
    """Check a connection, make settings of it, and have its password masked in logs.

    :param connection: Airflow's connection.
    :param where: what the ``User-Agent`` names beside the provider.
    :raises SaagieValidationError: naming the field that is missing or wrong.
    """
    if connection.password:
        airflow_compat.mask_locally(connection.password)
    settings = read_settings(
        host=connection.host,
        login=connection.login,
        password=connection.password,
        port=connection.port,
        extra=_extra_of(connection),
        user_agent=user_agent(**where),
    )
    return replace(settings, mask=airflow_compat.mask_locally)


async def read_settings_async(conn_id: str, **where: object) -> Settings:
    """Look a connection up from an event loop and make settings of it.

    :param conn_id: the connection's id.
    :param where: what the ``User-Agent`` names beside the provider, where no task runs in this process.
    :raises SaagieValidationError: naming the field that is missing or wrong.
    """
    return settings_of(await airflow_compat.async_connection(conn_id), **(_where_we_run() or where))


def _extra_of(connection: Connection) -> dict[str, Any]:
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise SaagieValidationError("The connection's extra is no JSON object.")
    return extra


def _where_we_run() -> dict[str, object]:
    """Name the task that we run in, for the platform's admin: each request's ``User-Agent`` holds it."""
    context = airflow_compat.current_context()
    instance = context.get("ti") if context else None
    if instance is None:
        return {}
    map_index = getattr(instance, "map_index", -1)
    return {
        "dag": instance.dag_id,
        "run": instance.run_id,
        "task": instance.task_id,
        "map_index": map_index if map_index is not None and map_index >= 0 else None,
        "try": instance.try_number,
    }
