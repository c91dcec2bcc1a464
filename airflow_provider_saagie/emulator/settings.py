"""How an emulator is set up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_saagie.emulator.engine import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the command line can set.

    :param data: the folder in which everything is kept.
    :param password: what the login has to give.
    :param login: the one user's name.
    :param realm: what the header `Saagie-Realm` has to name.
    :param platforms: the numbers of the platforms that exist.
    :param token_ttl: how many seconds a token is good for.
    :param port: the port that clients name in their Host header; None lets any pass.
    :param allow_remote: host names, beside the loopback ones, under which clients may call.
    :param simulate_seconds: run nothing: instances last that long by the clock alone.
    :param upload_limit: the largest artifact, in bytes.
    :param limits: what a job may use.
    :param runners: the command that runs the jobs of a technology, by its id in the catalogue.
    """

    data: Path
    password: str = field(repr=False)
    login: str = "airflow"
    realm: str = "local"
    platforms: tuple[int, ...] = (1,)
    token_ttl: float = 3600.0
    port: int | None = None
    allow_remote: tuple[str, ...] = ()
    simulate_seconds: float | None = None
    upload_limit: int = 1 << 30
    limits: Limits = field(default_factory=Limits)
    runners: Mapping[str, str] = field(default_factory=dict)
