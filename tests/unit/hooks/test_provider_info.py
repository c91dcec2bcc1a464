"""The provider's info, as Airflow registers it."""

from __future__ import annotations

import json
import pkgutil
from importlib import metadata, resources

import jsonschema

from airflow_provider_saagie.client.settings import read_settings
from airflow_provider_saagie.connection_form import EXTRA_FIELDS
from airflow_provider_saagie.get_provider_info import get_provider_info


def test_registered_info_fits_airflows_schema() -> None:
    points = metadata.entry_points(group="apache_airflow_provider")
    (ours,) = [point for point in points if point.value.startswith("airflow_provider_saagie")]
    assert (ours.name, ours.load()) == ("provider_info", get_provider_info)
    names = ("provider_info.schema.json", "provider.yaml.schema.json")
    files = [file for name in names if (file := resources.files("airflow").joinpath(name)).is_file()]
    jsonschema.validate(get_provider_info(), json.loads(files[0].read_text()))


def test_info_names_what_exists() -> None:
    info = get_provider_info()
    entries = [entry for kind in ("operators", "sensors", "hooks", "triggers") for entry in info[kind]]
    modules = [module for entry in entries for module in entry["python-modules"]]
    for name in [*modules, *info["extra-links"], info["connection-types"][0]["hook-class-name"]]:
        assert pkgutil.resolve_name(name)


def test_form_has_the_fields_that_settings_read() -> None:
    defaults = {field.name: field.default for field in EXTRA_FIELDS}
    assert sorted(defaults) == ["allow_http", "platform_id", "proxy", "realm", "retries", "timeout", "verify"]
    given = {"host": "https://acme-x.saagie.io/projects/platform/6/", "login": "me", "password": "pw"}
    assert read_settings(**given, extra=defaults) == read_settings(**given)
    for name, field in get_provider_info()["connection-types"][0]["conn-fields"].items():
        assert field["label"], name
        assert field["description"].endswith("."), name
