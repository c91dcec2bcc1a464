"""Every operator and the sensor, mapped and without XComs of their results; and each of them failing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_saagie.operators.saagie import (
    SaagieCreateOrUpgradeJobOperator,
    SaagieDeleteJobOperator,
    SaagieExportJobOperator,
    SaagieImportJobOperator,
    SaagiePurgeInstancesOperator,
    SaagieRollbackJobOperator,
    SaagieRunJobOperator,
    SaagieStopInstanceOperator,
)
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor

FOLDER = "{{ dag_run.conf['folder'] }}"
NAMES = ["Links a", "Links b"]
IN_DEMO: dict[str, Any] = {"project_name": "Demo", "do_xcom_push": False}
# Airflow fails a task whose trigger fires before the scheduler has heard of its deferral: a busy machine's race.
WAITS: dict[str, Any] = {"deferrable": True, "retries": 2, "retry_delay": timedelta(seconds=1)}

with DAG("links", schedule=None):
    deploy = SaagieCreateOrUpgradeJobOperator.partial(
        task_id="deploy", file="jobs/sleeps.py", runtime_version="3.11", command_line="python {file}", **IN_DEMO
    ).expand(job_name=NAMES)
    run = SaagieRunJobOperator.partial(task_id="run", poll_interval=1, **WAITS, **IN_DEMO).expand(job_name=NAMES)
    sense = SaagieJobInstanceSensor.partial(
        task_id="sense", poke_interval=2, newer_than_run=True, **WAITS, **IN_DEMO
    ).expand(job_name=NAMES)
    stop = SaagieStopInstanceOperator.partial(task_id="stop", **IN_DEMO).expand(job_name=NAMES)
    back = SaagieRollbackJobOperator.partial(task_id="back", version_number=1, **IN_DEMO).expand(job_name=NAMES)
    purge = SaagiePurgeInstancesOperator.partial(task_id="purge", selector="ALL", **IN_DEMO).expand(job_name=NAMES)
    export = SaagieExportJobOperator.partial(
        task_id="export", folder=f"{FOLDER}/{{{{ ti.map_index }}}}", **IN_DEMO
    ).expand(job_name=NAMES)
    copy = SaagieImportJobOperator.partial(task_id="copy", job_name="Copy of {{ ti.map_index }}", **IN_DEMO).expand(
        folder=[f"{FOLDER}/0", f"{FOLDER}/1"]
    )
    delete = SaagieDeleteJobOperator.partial(task_id="delete", **IN_DEMO).expand(job_name=["Copy of 0", "Copy of 1"])
    deploy >> [run, sense] >> stop >> back >> purge >> export >> copy >> delete

# Each of these fails once it has something to show, but for the last one.
with DAG("links_of_failures", schedule=None):
    BUSY: dict[str, Any] = {"job_name": "Links busy", "retries": 0, **IN_DEMO}
    SaagieCreateOrUpgradeJobOperator(task_id="deploy", file="/no/such/file", **BUSY)
    SaagieRunJobOperator(task_id="run", job_name="Links fails", poll_interval=1, deferrable=True, **IN_DEMO) >> (
        SaagieJobInstanceSensor(
            task_id="sense", job_name="Links fails", poke_interval=1, trigger_rule="all_done", **IN_DEMO
        )
    )
    SaagieStopInstanceOperator(task_id="stop", **BUSY)  # the test has Saagie refuse it
    SaagieRollbackJobOperator(task_id="back", version_number=99, **BUSY)
    SaagiePurgeInstancesOperator(task_id="purge", selector="ALL", **BUSY)  # and this
    SaagieExportJobOperator(task_id="export", folder="/dev/null", **BUSY)
    SaagieImportJobOperator(task_id="copy", folder="/no/such/folder", **BUSY)
    SaagieDeleteJobOperator(task_id="delete", **BUSY)
    SaagieRunJobOperator(task_id="lost", job_name="No such job", **IN_DEMO)
