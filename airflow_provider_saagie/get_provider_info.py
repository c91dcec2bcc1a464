"""What Airflow registers of this provider. It is read by every process, so it loads nothing."""

from __future__ import annotations

from typing import Any

from airflow_provider_saagie.connection_form import CONNECTION_TYPE, conn_fields, ui_field_behaviour

__all__ = ["get_provider_info"]

_PACKAGE = "airflow_provider_saagie"


def get_provider_info() -> dict[str, Any]:
    """Give the provider's description, by Airflow's ``provider_info.schema.json``."""

    def modules(kind: str) -> list[dict[str, Any]]:
        return [{"integration-name": "Saagie", "python-modules": [f"{_PACKAGE}.{kind}.saagie"]}]

    behaviour = {name.replace("_", "-"): value for name, value in ui_field_behaviour().items()}
    return {
        "package-name": "airflow-provider-saagie",
        "name": "Saagie",
        "description": "`Saagie <https://www.saagie.com/>`__, the DataOps platform: run, deploy and clean up its jobs.",
        "integrations": [
            {
                "integration-name": "Saagie",
                "external-doc-url": "https://docs.saagie.io/",
                "tags": ["service"],
            }
        ],
        "operators": modules("operators"),
        "sensors": modules("sensors"),
        "hooks": modules("hooks"),
        "triggers": modules("triggers"),
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-class-name": f"{_PACKAGE}.hooks.saagie.SaagieHook",
                "hook-name": "Saagie",
                "ui-field-behaviour": behaviour,
                "conn-fields": conn_fields(),
            }
        ],
        "extra-links": [f"{_PACKAGE}.links.saagie.SaagieLink"],
    }
