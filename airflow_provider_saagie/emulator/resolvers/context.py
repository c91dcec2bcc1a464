"""What every resolver is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

    from graphql import GraphQLResolveInfo

    from airflow_provider_saagie.emulator.engine import Engine
    from airflow_provider_saagie.emulator.settings import Settings
    from airflow_provider_saagie.emulator.store.database import Database

    Info: TypeAlias = GraphQLResolveInfo["Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, on which platform, and what answers; a resolver finds it as `info.context`.

    :param database: the store.
    :param engine: runs instances.
    :param settings: how the emulator is set up.
    :param platform: the platform's number; 0 on the gateway.
    :param login: who asks.
    """

    database: Database
    engine: Engine
    settings: Settings
    platform: int
    login: str
