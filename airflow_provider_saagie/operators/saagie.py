"""The operators' public face."""

from __future__ import annotations

from airflow_provider_saagie.operators.delete import SaagieDeleteJobOperator
from airflow_provider_saagie.operators.deploy import SaagieCreateOrUpgradeJobOperator
from airflow_provider_saagie.operators.export_job import SaagieExportJobOperator
from airflow_provider_saagie.operators.import_job import SaagieImportJobOperator
from airflow_provider_saagie.operators.purge import SaagiePurgeInstancesOperator
from airflow_provider_saagie.operators.rollback import SaagieRollbackJobOperator
from airflow_provider_saagie.operators.run_job import SaagieRunJobOperator
from airflow_provider_saagie.operators.stop import SaagieStopInstanceOperator

__all__ = [
    "SaagieCreateOrUpgradeJobOperator",
    "SaagieDeleteJobOperator",
    "SaagieExportJobOperator",
    "SaagieImportJobOperator",
    "SaagiePurgeInstancesOperator",
    "SaagieRollbackJobOperator",
    "SaagieRunJobOperator",
    "SaagieStopInstanceOperator",
]
