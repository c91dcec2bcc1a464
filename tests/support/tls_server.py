"""A healthy platform that speaks TLS, with a certificate of a throw-away authority."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import trustme

from tests.support.raw_server import raw_server


@dataclass
class Authority:
    """An authority whose own certificate is in the file `bundle`, and the paths that its servers were asked for."""

    ca: trustme.CA
    bundle: Path
    heard: list[str] = field(default_factory=list)

    @classmethod
    def founded_in(cls, folder: Path) -> Self:
        """Make a new authority."""
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        return cls(ca, folder / "ca.pem")

    def certify(self, name: str = "localhost", not_after: datetime | None = None) -> ssl.SSLContext:
        """Return the TLS context of a server with a certificate for nine days."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        not_before = not_after - timedelta(days=9) if not_after else None
        self.ca.issue_cert(name, not_after=not_after, not_before=not_before).configure_cert(context)
        return context

    @contextmanager
    def serving(self, name: str = "localhost") -> Iterator[int]:
        """Run a platform with a certificate, and return its port."""
        with raw_server(self.certify(name)) as server:
            server.paths = self.heard
            yield server.port
