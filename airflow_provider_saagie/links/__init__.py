"""Links: import from ``airflow_provider_saagie.links.saagie``."""
