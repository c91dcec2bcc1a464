"""Triggers: import from ``airflow_provider_saagie.triggers.saagie``."""
