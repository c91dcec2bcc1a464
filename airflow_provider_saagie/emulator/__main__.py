"""`python -m airflow_provider_saagie.emulator`."""

from airflow_provider_saagie.emulator.start import main

main()
