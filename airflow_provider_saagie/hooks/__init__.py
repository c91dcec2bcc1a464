"""Hooks: import from ``airflow_provider_saagie.hooks.saagie``."""
