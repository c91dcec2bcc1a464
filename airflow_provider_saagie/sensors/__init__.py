"""Sensors: import from ``airflow_provider_saagie.sensors.saagie``."""
