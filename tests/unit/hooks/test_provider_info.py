"""What Airflow registers of us."""

from __future__ import annotations

import importlib
import json
from importlib import metadata, resources

import jsonschema

from airflow_provider_saagie.connection_form import EXTRA_FIELDS
from airflow_provider_saagie.get_provider_info import get_provider_info


def test_the_info_fits_airflows_schema() -> None:
    for name in ("provider_info.schema.json", "provider.yaml.schema.json"):
        schema = resources.files("airflow").joinpath(name)
        if schema.is_file():
            jsonschema.validate(get_provider_info(), json.loads(schema.read_text()))
            return
    raise AssertionError("Airflow's schema is not where it was")


def test_whatever_the_info_names_is_there() -> None:
    info = get_provider_info()
    for kind in ("operators", "sensors", "hooks", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                importlib.import_module(module)
    paths = [*info["extra-links"], info["connection-types"][0]["hook-class-name"]]
    for path in paths:
        module, name = path.rsplit(".", 1)
        assert getattr(importlib.import_module(module), name)


def test_airflow_finds_the_provider_by_its_entry_point() -> None:
    (found,) = [
        point
        for point in metadata.entry_points(group="apache_airflow_provider")
        if point.value.startswith("airflow_provider_saagie")
    ]
    assert (found.name, found.load()()) == ("provider_info", get_provider_info())


def test_every_extra_field_of_the_form_is_one_that_settings_read() -> None:
    from airflow_provider_saagie.client.settings import read_settings

    assert {field.name for field in EXTRA_FIELDS} == {
        "realm", "platform_id", "verify", "allow_http", "proxy", "timeout", "retries"
    }  # fmt: skip
    defaults = {field.name: field.default for field in EXTRA_FIELDS}
    settings = read_settings(
        host="https://acme-x.saagie.io/projects/platform/6/", login="me", password="pw", extra=defaults
    )
    plain = read_settings(host="https://acme-x.saagie.io/projects/platform/6/", login="me", password="pw")
    assert settings == plain


def test_every_field_has_a_label_and_a_help_text() -> None:
    for name, field in get_provider_info()["connection-types"][0]["conn-fields"].items():
        assert field["label"], name
        assert field["description"].endswith("."), name
