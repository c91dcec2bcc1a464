"""The operators' public face."""

from __future__ import annotations

from airflow_provider_saagie.operators.deploy import SaagieCreateOrUpgradeJobOperator
from airflow_provider_saagie.operators.purge import SaagiePurgeInstancesOperator
from airflow_provider_saagie.operators.run_job import SaagieRunJobOperator

__all__ = ["SaagieCreateOrUpgradeJobOperator", "SaagiePurgeInstancesOperator", "SaagieRunJobOperator"]
