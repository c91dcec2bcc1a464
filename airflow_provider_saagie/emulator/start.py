"""The program `saagie-emulator`: says what to install where the extra is missing, else runs the command line."""

from __future__ import annotations

import sys

EXTRA = ("ariadne", "jinja2", "python_multipart", "rich", "starlette", "typer", "uvicorn")


def main() -> None:
    """Run the command line."""
    try:
        from airflow_provider_saagie.emulator import cli
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.exit(
            f"saagie-emulator: {error.name} is not installed. The local Saagie needs the extra `emulator`: "
            "pip install 'airflow-provider-saagie[emulator]'"
        )
    cli.main()
