"""Which certificates are trusted: those of one bundle, whatever the environment says."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from airflow_provider_saagie.exceptions import SaagieValidationError

__all__ = ["trusting"]


def trusting(bundle: str) -> ssl.SSLContext:
    """Give a TLS context that trusts the authorities of a bundle alone.

    :param bundle: path of a PEM file, or of a folder of them as OpenSSL names them.
    :return: the context, which checks names and dates; the same one until the bundle changes.
    :raises SaagieValidationError: where the bundle is missing, can't be read or holds no certificate.
    """
    try:
        return _load(bundle, Path(bundle).stat().st_mtime_ns)
    except OSError as error:  # ssl.SSLError is one
        reason = "it holds no PEM certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise SaagieValidationError(
            f"The connection's `verify` names the CA bundle {bundle!r}, which can't be used ({reason}): it should be "
            "true, false or the path of a PEM file that can be read on every worker and triggerer."
        ) from error


@lru_cache(maxsize=8)
def _load(bundle: str, changed: int) -> ssl.SSLContext:  # noqa: ARG001 - a bundle that was renewed is read anew
    """Read a bundle: of the size of a system's own this takes 20 ms and more, too long for an event loop each time."""
    is_folder = Path(bundle).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else bundle, capath=bundle if is_folder else None)
