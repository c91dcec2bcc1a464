"""What a session needs to know, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import os
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_saagie import __version__
from airflow_provider_saagie.exceptions import SaagieValidationError

__all__ = ["Settings", "read_settings", "user_agent"]

DEFAULT_TIMEOUT = 30.0
DEFAULT_RETRIES = 5
_PLATFORM_IN_PATH = re.compile(r"^(?P<prefix>.*?)/projects/platform/(?P<platform>\d+)(?:/|$)")
_USUAL_PORT = {"http": 80, "https": 443}
_YES = {"true", "1", "yes", "on"}
_NO = {"false", "0", "no", "off"}


def _ignore(_: str) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Settings:
    """A connection's settings, whole and checked: make them with :func:`read_settings`.

    :param base_url: scheme, host and port (and a prefix, behind a reverse proxy), without a slash at the end.
    :param realm: sent as ``Saagie-Realm`` when logging in.
    :param platform_id: the platform's number, as it stands in Saagie's addresses.
    :param login: who we are.
    :param password: never shown.
    :param verify: True, False or the path of a CA bundle, for TLS.
    :param proxy: the proxy's URL, or None; never shown, since it can hold a password.
    :param timeout: seconds to wait for the next bytes of an answer, and for a connection (10 at most).
    :param retries: how often a request that may be repeated is repeated.
    :param user_agent: the ``User-Agent`` header.
    :param mask: told each token, so that logs can mask it.
    :param tokens: the last few tokens that the platform gave us, so that no message quotes one.
    """

    base_url: str
    realm: str
    platform_id: int
    login: str
    password: str = field(repr=False)
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    timeout: float = DEFAULT_TIMEOUT
    retries: int = DEFAULT_RETRIES
    user_agent: str = f"airflow-provider-saagie/{__version__}"
    mask: Callable[[str], None] = field(default=_ignore, repr=False, compare=False)
    tokens: deque[str] = field(default_factory=lambda: deque(maxlen=4), repr=False, compare=False)

    def take_token(self, token: str) -> None:
        """Note a token that the platform gave us, and have it masked.

        :param token: the token.
        """
        self.tokens.append(token)
        self.mask(token)

    @property
    def login_url(self) -> str:
        """Where to log in."""
        return f"{self.base_url}/authentication/api/open/authenticate"

    @property
    def projects_url(self) -> str:
        """The GraphQL endpoint for projects, jobs and instances."""
        return f"{self.base_url}/projects/api/platform/{self.platform_id}/graphql"

    @property
    def gateway_url(self) -> str:
        """The GraphQL endpoint of the technology catalogue."""
        return f"{self.base_url}/gateway/api/graphql"

    def job_url(self, project_id: str, job_id: str) -> str:
        """Give the address of a job's page in Saagie."""
        return f"{self.base_url}/projects/platform/{self.platform_id}/project/{project_id}/job/{job_id}"

    def instance_url(self, project_id: str, job_id: str, instance_id: str) -> str:
        """Give the address of an instance's page in Saagie."""
        return f"{self.job_url(project_id, job_id)}/instances/{instance_id}"


def read_settings(
    *,
    host: str | None,
    login: str | None,
    password: str | None,
    port: int | None = None,
    extra: Mapping[str, Any] | None = None,
    user_agent: str | None = None,
) -> Settings:
    """Check what a connection holds and make settings of it.

    :param host: the platform's URL; a whole address copied from the browser fills realm and platform.
    :param login: the login.
    :param password: the password.
    :param port: a port kept apart from the host, as Airflow's connection URIs do.
    :param extra: ``realm``, ``platform_id``, ``verify``, ``allow_http``, ``proxy``, ``timeout``, ``retries``.
    :param user_agent: the ``User-Agent`` header.
    :return: the settings.
    :raises SaagieValidationError: naming the field that is missing or wrong, and what it should look like.
    """
    given = {key: value for key, value in (extra or {}).items() if value not in (None, "")}
    base_url, platform_in_address = _read_address(host, port, allow_http=_flag(given, "allow_http", default=False))
    platform = given.get("platform_id", platform_in_address)
    if platform is None:
        raise SaagieValidationError(
            "The connection has no platform: set `platform_id`, the number behind /platform/ in Saagie's addresses."
        )
    for name, value in (("login", login), ("password", password)):
        if not value:
            raise SaagieValidationError(f"The connection has no {name}: fill the field `{name}`.")
    return Settings(
        base_url=base_url,
        realm=_read_realm(given, base_url),
        platform_id=_whole_number("platform_id", platform, at_least=0),
        login=str(login),
        password=str(password),
        verify=_read_verify(given),
        proxy=_read_proxy(given),
        timeout=_seconds("timeout", given.get("timeout", DEFAULT_TIMEOUT)),
        retries=_whole_number("retries", given.get("retries", DEFAULT_RETRIES), at_least=0),
        user_agent=user_agent or f"airflow-provider-saagie/{__version__}",
    )


def user_agent(**where: object) -> str:
    """Name the provider and, in a task, what runs: ``airflow-provider-saagie/1.0 (dag=a; task=b; try=1)``.

    :param where: what to name; empty values are left out, and what a header can't hold is replaced by ``?``.
    """
    named = "; ".join(f"{key}={_header_safe(str(value))}" for key, value in where.items() if value not in (None, ""))
    return f"airflow-provider-saagie/{__version__}" + (f" ({named})" if named else "")


def _header_safe(text: str) -> str:
    return re.sub(r"[^\x20-\x7e]|[();]", "?", text)


def _read_address(host: str | None, port: int | None, *, allow_http: bool) -> tuple[str, str | None]:
    text = (host or "").strip()
    if not text:
        raise SaagieValidationError(
            "The connection has no host: set it to the platform's URL, such as https://acme-workspace.prod.saagie.io."
        )
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        name, own_port = parts.hostname, parts.port
        (name or "").encode("idna")  # as both transports write it: an empty or endless label is no host
    except ValueError:  # UnicodeError is one
        name, own_port = None, None
    if not name or re.search(r"[\s\x00-\x20,]", name) or parts.scheme not in ("http", "https"):
        raise SaagieValidationError(
            f"The connection's host {_without_credentials(text)!r} is no URL: "
            "it should look like https://acme-workspace.prod.saagie.io."
        )
    found = _PLATFORM_IN_PATH.match(parts.path)
    prefix = found["prefix"] if found else parts.path.rstrip("/")
    if parts.username or parts.password or "@" in prefix:  # a slash in a password ends the part that should hold it
        raise SaagieValidationError(
            "The connection's host holds a login or a password: put them into the fields `login` and `password`."
        )
    if parts.scheme == "http" and not allow_http and not _is_loopback(name):
        raise SaagieValidationError(
            f"The connection's host {text!r} is plain http, which shows the password to the network: "
            "use https://, or set `allow_http` to true if you must."
        )
    shown = f"[{name}]" if ":" in name else name
    chosen_port = own_port or port
    if chosen_port == _USUAL_PORT[parts.scheme]:
        chosen_port = None
    netloc = f"{shown}:{chosen_port}" if chosen_port else shown
    return f"{parts.scheme}://{netloc}{prefix.rstrip('/')}", found["platform"] if found else None


def _without_credentials(text: str) -> str:
    return re.sub(r"//.*@", "//***@", text)


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _read_realm(given: Mapping[str, Any], base_url: str) -> str:
    realm = str(given.get("realm", "")).strip()
    if not re.fullmatch(r"[\x21-\x7e]*", realm):
        raise SaagieValidationError(
            f"The connection's `realm` is {realm!r}: it should be plain letters and digits, such as `acme`."
        )
    return realm or _realm_of(base_url)


def _realm_of(base_url: str) -> str:
    name = urlsplit(base_url).hostname or ""
    label = name.split(".")[0].split("-")[0]
    if _is_loopback(name) or not label or label.isdigit() or ":" in name:
        raise SaagieValidationError(
            f"The realm can't be told from the host {name!r}: set `realm` "
            "(the first part of a Saagie address: `acme` in https://acme-workspace.prod.saagie.io)."
        )
    return label


def _flag(given: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = given.get(name, default)
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _YES | _NO:
        return word in _YES
    raise SaagieValidationError(f"The connection's `{name}` is {value!r}: it should be true or false.")


def _read_verify(given: Mapping[str, Any]) -> bool | str:
    value = given.get("verify", True)
    if isinstance(value, bool) or str(value).strip().lower() in _YES | _NO:
        return _flag(given, "verify", default=True)
    path = Path(os.path.expanduser(str(value)))  # noqa: PTH111 - Path's raises where there is no such user
    if not path.exists():
        raise SaagieValidationError(
            f"The connection's `verify` names the CA bundle {str(value)!r}, which is not on this machine: "
            "it should be true, false or a path that exists on every worker and triggerer."
        )
    from airflow_provider_saagie.client.tls import trusting  # ssl is heavy, and most connections name no bundle

    trusting(str(path))
    return str(path)


def _read_proxy(given: Mapping[str, Any]) -> str | None:
    value = given.get("proxy")
    if value is None:
        return None
    try:
        parts = urlsplit(str(value).strip())
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise SaagieValidationError(
            "The connection's `proxy` is no http:// or https:// URL: it should look like http://proxy.acme.io:3128."
        )
    return str(value).strip()


def _seconds(name: str, value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise SaagieValidationError(
            f"The connection's `{name}` is {value!r}: it should be a number of seconds above 0."
        )
    return seconds


def _whole_number(name: str, value: object, *, at_least: int) -> int:
    text = str(value).strip()
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < at_least:
        raise SaagieValidationError(f"The connection's `{name}` is {value!r}: it should be a whole number.")
    return int(text)
