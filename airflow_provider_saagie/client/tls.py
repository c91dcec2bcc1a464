"""Which certificates are trusted: those of one bundle, whatever the environment says."""

from __future__ import annotations

import ssl
from pathlib import Path

from airflow_provider_saagie.exceptions import SaagieValidationError

__all__ = ["trusting"]


def trusting(bundle: str) -> ssl.SSLContext:
    """Make a TLS context that trusts the authorities of a bundle alone.

    :param bundle: path of a PEM file, or of a folder of them as OpenSSL names them.
    :return: the context; names and dates are checked.
    :raises SaagieValidationError: where the file is missing, can't be read or holds no certificate.
    """
    is_folder = Path(bundle).is_dir()
    try:
        return ssl.create_default_context(cafile=None if is_folder else bundle, capath=bundle if is_folder else None)
    except OSError as error:  # ssl.SSLError is one
        reason = "no PEM certificate is in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise SaagieValidationError(
            f"The connection's `verify` names the CA bundle {bundle!r}, which can't be used ({reason}): it should be "
            "true, false or the path of a PEM file that can be read on every worker and triggerer."
        ) from error
