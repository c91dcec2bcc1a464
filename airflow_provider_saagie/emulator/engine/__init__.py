"""Runs instances as processes; knows the store, but neither HTTP nor GraphQL."""

from airflow_provider_saagie.emulator.engine.runner import Engine, Limits

__all__ = ["Engine", "Limits"]
