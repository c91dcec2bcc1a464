"""Operators: import them from ``airflow_provider_saagie.operators.saagie``."""
