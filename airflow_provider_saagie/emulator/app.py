"""Puts the emulator together."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from airflow_provider_saagie.emulator import catalogue
from airflow_provider_saagie.emulator.engine import Engine
from airflow_provider_saagie.emulator.faults import Faults
from airflow_provider_saagie.emulator.login import Gate
from airflow_provider_saagie.emulator.stats import Stats
from airflow_provider_saagie.emulator.store import projects
from airflow_provider_saagie.emulator.store.database import Database
from airflow_provider_saagie.emulator.web import control, endpoints, pages
from airflow_provider_saagie.emulator.web.graphql import Api, gateway_api, projects_api
from airflow_provider_saagie.emulator.web.guard import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_saagie.emulator.settings import Settings

DEMO_PROJECT = "Demo"


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a request may need; found as `app.state.parts`."""

    settings: Settings
    database: Database
    engine: Engine
    gate: Gate
    faults: Faults
    stats: Stats
    projects_api: Api
    gateway_api: Api


def create_app(settings: Settings) -> Starlette:
    """Put an emulator together and end what an earlier one left behind; the app's lifespan ends its processes.

    :param settings: how it is set up.
    :return: the ASGI app.
    :raises DataFolderError: where the data folder can't be used.
    """
    database = Database(settings.data)
    if database.is_new:
        _make_demo_project(database, settings)
    engine = Engine(database, settings.limits, settings.simulate_seconds, settings.runners)
    engine.recover()
    engine.keep_schedules()
    parts = Parts(settings, database, engine, Gate(settings), Faults(), Stats(), projects_api(), gateway_api())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(engine.close)
        database.close()

    app = Starlette(
        routes=[*endpoints.ROUTES, *control.ROUTES, *pages.ROUTES],
        middleware=[Middleware(Guard, settings=settings)],
        lifespan=lifespan,
    )
    app.state.parts = parts
    return app


def _make_demo_project(database: Database, settings: Settings) -> None:
    """Give a newcomer something to run a job in."""
    everything = catalogue.job_technologies()
    with database.writing():
        for platform in settings.platforms:
            projects.create_project(
                database,
                platform,
                DEMO_PROJECT,
                settings.login,
                "A project to begin with: every technology is allowed in every category.",
                dict.fromkeys(catalogue.CATEGORIES, everything),
            )
