"""What of a foreign text may be shown: little of it, and no secret in any spelling."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from airflow_provider_saagie.client.settings import Settings

__all__ = ["shown"]

SHOWN_OF_A_BODY = 400
READ_OF_A_BODY = 64 * 1024  # of megabytes of junk the first words are enough
SHORTEST_IN_BASE64 = 4  # of shorter secrets nothing can be told in base64


def shown(text: str, settings: Settings) -> str:
    """Cut a text of foreign origin down to what a log may show: one line, no secrets, no more than 400 characters.

    :param text: a body, a header, a library's words.
    :param settings: whose secrets it must not show: password, proxy, the tokens that the platform gave.
    """
    without = text[:READ_OF_A_BODY]
    spellings = _spellings(settings)
    for spelling in sorted(spellings, key=len, reverse=True):
        without = without.replace(spelling, "***")
    if len(text) > READ_OF_A_BODY:  # the end may be the beginning of a secret
        without = without[: len(without) - max(map(len, spellings), default=0)]
    without = re.sub(r"(?i)\b(bearer|basic)\s+\S+", r"\1 ***", without)
    without = re.sub(r"://[^/@\s]+@", "://***@", without)
    without = re.sub(r"\s+", " ", re.sub(r"<[^>]{0,400}>", " ", without)).strip()
    return without if len(without) <= SHOWN_OF_A_BODY else without[: SHOWN_OF_A_BODY - 1] + "…"


def _spellings(settings: Settings) -> set[str]:
    """List how our secrets can stand in a text: as they are, in a URL, in JSON, in base64 at any offset."""
    proxy = settings.proxy or ""
    of_proxy = urlsplit(proxy).password or ""
    secrets = {settings.password, proxy, of_proxy, unquote(of_proxy), *settings.tokens} - {""}
    found = set(secrets)
    for secret in secrets:
        found |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
        found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
        if len(secret) >= SHORTEST_IN_BASE64:
            found |= {_in_base64(secret.encode(), offset) for offset in range(3)}
    return found


def _in_base64(secret: bytes, offset: int) -> str:
    """Give the characters that a secret has in base64 whatever stands around it."""
    encoded = base64.b64encode(b"x" * offset + secret).decode().rstrip("=")
    first = -(-offset * 4 // 3)  # the first character that no byte before it shares
    last = (offset + len(secret)) * 4 // 3  # the last one shares none with what comes behind
    return encoded[first:last]
