"""A DAG that uses the hook in a task of its own."""

from __future__ import annotations

import logging
import sys
import tempfile
import uuid
from functools import partial
from pathlib import Path

from airflow.sdk import DAG, task

from airflow_provider_saagie import SaagieHook

MIB = 1024 * 1024

with DAG("hook_transfers", schedule=None):

    @task
    def there_and_back() -> int:
        """Upload a file and export it again; its lines come as often as they can, rather than every ten seconds."""
        from airflow_provider_saagie.client.progress import lines

        client = SaagieHook().get_conn()
        client.session.progress = partial(lines, every=0.0)
        logging.getLogger("airflow.task").info("stderr is a terminal: %s", sys.stderr.isatty())
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.bin"
            with file.open("wb") as empty:
                empty.truncate(MIB)
            name = f"transfers {uuid.uuid4()}"
            made = client.jobs.create(name, client.get_project_id("Demo"), str(file), command_line="python {file}")
            job_id = made["data"]["createJob"]["id"]
            client.jobs.export(job_id, folder)
            client.jobs.delete(job_id)
            return (Path(folder) / job_id / "version" / "1" / "model.bin").stat().st_size

    there_and_back()
