"""Apache Airflow provider for Saagie, the DataOps platform.

The public names below are loaded on first use, so that importing the package (as Airflow does for every process)
costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME_OF = {
    "SaagieHook": "airflow_provider_saagie.hooks.saagie",
    "SaagieRunJobOperator": "airflow_provider_saagie.operators.saagie",
    "SaagieCreateOrUpgradeJobOperator": "airflow_provider_saagie.operators.saagie",
    "SaagiePurgeInstancesOperator": "airflow_provider_saagie.operators.saagie",
    "SaagieStopInstanceOperator": "airflow_provider_saagie.operators.saagie",
    "SaagieRollbackJobOperator": "airflow_provider_saagie.operators.saagie",
    "SaagieDeleteJobOperator": "airflow_provider_saagie.operators.saagie",
    "SaagieExportJobOperator": "airflow_provider_saagie.operators.saagie",
    "SaagieImportJobOperator": "airflow_provider_saagie.operators.saagie",
    "SaagieJobInstanceSensor": "airflow_provider_saagie.sensors.saagie",
    "SaagieJobEventTrigger": "airflow_provider_saagie.triggers.saagie",
    "SaagieJobInstanceTrigger": "airflow_provider_saagie.triggers.saagie",
    "SaagieLink": "airflow_provider_saagie.links.saagie",
}

__all__ = [
    "SaagieCreateOrUpgradeJobOperator",
    "SaagieDeleteJobOperator",
    "SaagieExportJobOperator",
    "SaagieHook",
    "SaagieImportJobOperator",
    "SaagieJobEventTrigger",
    "SaagieJobInstanceSensor",
    "SaagieJobInstanceTrigger",
    "SaagieLink",
    "SaagiePurgeInstancesOperator",
    "SaagieRollbackJobOperator",
    "SaagieRunJobOperator",
    "SaagieStopInstanceOperator",
    "__version__",
]

if TYPE_CHECKING:
    from airflow_provider_saagie.hooks.saagie import SaagieHook
    from airflow_provider_saagie.links.saagie import SaagieLink
    from airflow_provider_saagie.operators.saagie import (
        SaagieCreateOrUpgradeJobOperator,
        SaagieDeleteJobOperator,
        SaagieExportJobOperator,
        SaagieImportJobOperator,
        SaagiePurgeInstancesOperator,
        SaagieRollbackJobOperator,
        SaagieRunJobOperator,
        SaagieStopInstanceOperator,
    )
    from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor
    from airflow_provider_saagie.triggers.saagie import SaagieJobEventTrigger, SaagieJobInstanceTrigger


def __getattr__(name: str) -> object:
    """Load a public name from its module when it is first asked for."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
