"""Run DAGs in this process with Airflow's own `dag.test()`, on a metadata database that is copied from a template.

Creating the database takes seconds, so the first process that needs it keeps a copy in `.airflow/`, from which all
later processes start. `dag.test()` costs 0.2 s and each task 40 ms: give many tasks to one `run_tasks()`.

It differs from a scheduler and a triggerer: tasks run one after the other, triggers inline; deadlines of deferrals are
not enforced; neither `on_kill` nor `cleanup` of a trigger is called.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator

TEMPLATES = Path(__file__).parents[2] / ".airflow"
BUNDLE = "dags-folder"


@dataclass
class TaskResult:
    """How a task ended.

    :param state: its state.
    :param xcoms: what it pushed, by key.
    :param log: the lines of all its tries and of its trigger, with the errors but not their frames.
    :param errors: the exceptions that its failure and retry callbacks were given; only `run_tasks()` collects them.
    """

    state: str
    xcoms: dict[str, Any]
    log: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The log as one text."""
        return "\n".join(self.log)


RunDag = Callable[["DAG"], dict[str, TaskResult]]
RunTasks = Callable[..., dict[str, TaskResult]]


@cache
def prepare_database() -> None:
    """Fill this process's metadata database from the template, which the first process creates."""
    with _ignored_warnings():
        import airflow
        from filelock import FileLock

        database = Path(os.environ["AIRFLOW_HOME"], "airflow.db")
        template = TEMPLATES / f"tests-{airflow.__version__}.db"
        TEMPLATES.mkdir(exist_ok=True)
        with FileLock(f"{template}.lock"):
            if template.exists():
                shutil.copyfile(template, database)
                return
            _create_database()
            unfinished = template.with_suffix(".unfinished")
            unfinished.unlink(missing_ok=True)
            with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(unfinished)) as target:
                source.backup(target)
            unfinished.replace(template)


def _create_database() -> None:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()


@contextmanager
def _ignored_warnings() -> Iterator[None]:
    """Ignore warnings in Airflow's own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def new_dag(folder: Path) -> DAG:
    """Return an empty DAG of a file in the folder."""
    from airflow.sdk import DAG

    file = folder / "dag.py"
    file.write_text("# the DAG is made in a test\n")  # Airflow stores the source, and refuses an empty one
    dag = DAG(f"dag_{uuid.uuid4().hex}", schedule=None)
    dag.fileloc = str(file)
    dag.relative_fileloc = file.name
    return dag


def run_tasks(dag: DAG, *tasks: BaseOperator) -> dict[str, TaskResult]:
    """Run tasks that don't depend on each other, one after the other, and return their results by task id.

    :param dag: an empty DAG.
    :param tasks: operators that were made outside of a DAG.
    """
    errors: dict[str, list[BaseException]] = {}

    def collect(context: Any) -> None:
        errors.setdefault(context["ti"].task_id, []).append(context["exception"])

    for task in tasks:
        task.on_failure_callback = [*task.on_failure_callback, collect]
        task.on_retry_callback = [*task.on_retry_callback, collect]
        dag.add_task(task)
    results = run_dag(dag)
    for task_id, collected in errors.items():
        results[task_id].errors = collected
    return results


def run_dag(dag: DAG) -> dict[str, TaskResult]:
    """Run a DAG and return the results of its tasks by task id. XComs and lines of mapped tasks are merged."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with _ignored_warnings():
        bag = DagBag(os.devnull, bundle_name=BUNDLE)
        bag.bag_dag(dag)
        sync_bag_to_db(bag, BUNDLE, None)
        with _collected_lines() as lines:
            run = dag.test()
        results = {
            ti.task_id: TaskResult(str(ti.state), {}, lines.get(ti.task_id, [])) for ti in run.get_task_instances()
        }
        with create_session() as session:
            pushed = session.query(XComModel).filter(XComModel.dag_id == dag.dag_id, XComModel.run_id == run.run_id)
            for row in pushed:
                results[row.task_id].xcoms[row.key] = XComModel.deserialize_value(row)
    return results


@contextmanager
def _collected_lines() -> Iterator[dict[str, list[str]]]:
    """Collect what tasks log, by task id.

    Airflow's and the operators' lines pass structlog's processors; what uses Python's logging reaches a handler.
    """
    import structlog

    lines: dict[str, list[str]] = {}
    current: list[str] = []

    def processor(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        if event.get("logger", "").startswith(("task", "airflow.task", "airflow_provider_saagie")) and not str(
            event["event"]
        ).startswith("::"):
            skipped = ("event", "level", "logger", "timestamp", "loc", "exc_info", "error_detail", "ti")
            values = [f"{name}={value}" for name, value in event.items() if name not in skipped]
            trace = traceback.format_exc(limit=0) if event.get("exc_info") else ""
            current.append(" ".join((str(event["event"]), *values)) + (f"\n{trace}" if trace else ""))
        return event

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            nonlocal current
            message = record.getMessage()
            if not record.name.startswith("airflow.sdk"):
                current.append(message)
            elif message.startswith("[DAG TEST] starting task_id=") and isinstance(record.args, tuple):
                current = lines.setdefault(str(record.args[0]), [])

    processors = structlog.get_config()["processors"]
    processors.insert(-1, processor)
    handler = Handler()
    loggers = [logging.getLogger(name) for name in ("airflow.sdk.definitions.dag", "airflow_provider_saagie")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        processors.remove(processor)
        for logger in loggers:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
