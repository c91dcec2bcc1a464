"""`python -m airflow_provider_saagie.emulator`."""

from airflow_provider_saagie.emulator.cli import main

main()
