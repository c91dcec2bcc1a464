"""Passwords and tokens. A token is signed, not stored, so that it outlives a restart; an expired one can be told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from typing import TYPE_CHECKING

from airflow_provider_saagie.emulator.errors import DataFolderError

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_saagie.emulator.settings import Settings


class Gate:
    """Lets those in who know the password, or hold a token that it gave out.

    :param settings: how the emulator is set up.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = kept_secret(settings.data / "token.key").encode()
        self._revoked: set[str] = set()

    def log_in(self, login: str, password: str, realm: str) -> str | None:
        """Give out a token.

        :param login: as it was sent.
        :param password: as it was sent.
        :param realm: as it was sent.
        :return: a token, or None where anything is wrong; which it was can't be told, also not by the time it takes.
        """
        sent = json.dumps([login, password, realm]).encode()
        right = json.dumps([self._settings.login, self._settings.password, self._settings.realm]).encode()
        if not hmac.compare_digest(sent, right):
            return None
        claims = {"sub": login, "exp": time.time() + self._settings.token_ttl, "jti": secrets.token_hex(8)}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        return f"{body}.{self._sign(body)}"

    def who_has(self, token: str) -> str | None:
        """Tell whose token it is.

        :param token: as it was sent.
        :return: the login, or None where the token is not ours, has expired or was revoked.
        """
        body, _, signature = token.partition(".")
        if token in self._revoked or not hmac.compare_digest(self._sign(body).encode(), signature.encode()):
            return None
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return str(claims["sub"]) if claims["exp"] > time.time() else None

    def revoke(self, token: str) -> None:
        """Let a token expire now.

        :param token: as it was sent.
        """
        self._revoked.add(token)

    def _sign(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), hashlib.sha256).hexdigest()


def kept_secret(file: Path) -> str:
    """Read a secret that is made once for a data folder and readable by its owner only.

    :param file: where it is kept.
    :return: the secret.
    :raises DataFolderError: where the file holds nothing that could be one.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = file.with_name(file.name + ".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secrets.token_urlsafe(24))
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    secret = file.read_text(encoding="utf-8", errors="replace").strip()
    if not secret:
        raise DataFolderError(f"{file} is empty: delete it, and a new one is made.")
    return secret
