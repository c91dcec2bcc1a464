"""Makes pages of templates: everything is escaped, and a page may load nothing from elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, Response

from airflow_provider_saagie.emulator.clock import now_ms, to_iso

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_saagie.emulator.app import Parts

HERE = Path(__file__).parent.parent
_SHOWN_CHARACTERS = 2_000  # of a line of a log; the log as text has all
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self';"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Render a page.

    :param request: the request that it answers.
    :param template: the template's file name.
    :param status: the HTTP status.
    :param values: what the template needs, beside `live`, `platforms` and `now`.
    :return: the answer.
    """
    parts: Parts = request.app.state.parts
    values = {"live": False, "platforms": parts.settings.platforms, "now": now_ms(), **values}
    return HTMLResponse(_TEMPLATES.get_template(template).render(values), status, _HEADERS)


def number_from(request: Request, name: str) -> int:
    """Read a number, 0 or more, from the query.

    :param request: the request.
    :param name: the parameter's name.
    :return: the number; 0 where it is missing or is none.
    """
    given = request.query_params.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0


def _moment(value: int) -> str:
    return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _exactly(value: int) -> str:
    return f"{_moment(value)}.{value % 1000:03d}"


def _duration(milliseconds: int) -> str:
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _shortened(line: str) -> str:
    rest = len(line) - _SHOWN_CHARACTERS
    return line if rest <= 0 else f"{line[:_SHOWN_CHARACTERS]}… ({rest:,} more characters)"


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moment=_moment, exactly=_exactly, duration=_duration, iso=to_iso, shortened=_shortened)
    return environment


_TEMPLATES = _templates()
