"""Draws the life of an instance, `docs/pictures/states.svg`, from the emulator's own table.

Run it with ``python docs/draw_states.py`` after a change of the table; a test compares.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from airflow_provider_saagie.emulator.states import ENDS, TRANSITIONS, Status

PICTURE = Path(__file__).parent / "pictures" / "states.svg"

# Column and row of each status. What leads to FAILED goes along a line above, what leads to KILLING along one below.
PLACES: dict[Status, tuple[int, int]] = {
    Status.AWAITING: (0, 1),
    Status.REQUESTED: (1, 1),
    Status.QUEUED: (2, 1),
    Status.RUNNING: (3, 1),
    Status.UNKNOWN: (2, 2),
    Status.KILLING: (3, 2),
    Status.FAILED: (4, 0),
    Status.SUCCEEDED: (4, 1),
    Status.KILLED: (4, 2),
    Status.ERROR: (0, 2),
    Status.SKIPPED: (1, 2),
}
BY_HAND = {Status.UNKNOWN, Status.ERROR, Status.SKIPPED}
PITCH_X, PITCH_Y, WIDTH, HEIGHT, MARGIN = 176, 100, 104, 36, 24
COLOURS = {Status.SUCCEEDED: "#dff3e4", Status.FAILED: "#fbe1e1", Status.ERROR: "#fbe1e1", Status.KILLED: "#f3e6d3"}
LINE, INK = "#5b6470", "#1f2328"


def centre(status: Status) -> tuple[int, int]:
    """Tell where a status is drawn.

    :return: x and y of its middle.
    """
    column, row = PLACES[status]
    return MARGIN + WIDTH // 2 + column * PITCH_X, MARGIN + HEIGHT // 2 + row * PITCH_Y


def draw() -> str:
    """Draw the picture.

    :return: SVG.
    """
    width = 2 * MARGIN + WIDTH + 4 * PITCH_X
    height = 2 * MARGIN + HEIGHT + 2 * PITCH_Y + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
        ' font-family="system-ui, sans-serif" role="img">',
        "<title>The life of an instance</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
        f'<path d="M0 0 8 4 0 8z" fill="{LINE}"/></marker></defs>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
    ]
    said: dict[Status, str] = {}
    for before, following in TRANSITIONS.items():
        for after, why in following.items():
            repeated = said.get(after) == why
            parts += arrow(before, after, "" if repeated else why)
            said[after] = why
    parts += [box(status) for status in PLACES]
    parts.append(text(MARGIN, height - 12, "Dashed: set by hand only, with POST /emulator/instances/ID.", "start"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def box(status: Status) -> str:
    """Draw a status; ends have a thicker border."""
    x, y = centre(status)
    dashes = ' stroke-dasharray="5 4"' if status in BY_HAND else ""
    border = 2.5 if status in ENDS else 1.25
    return (
        f'<rect x="{x - WIDTH // 2}" y="{y - HEIGHT // 2}" width="{WIDTH}" height="{HEIGHT}" rx="8"'
        f' fill="{COLOURS.get(status, "#f6f8fa")}" stroke="{LINE}" stroke-width="{border}"{dashes}/>'
        f'<text x="{x}" y="{y + 4.5}" text-anchor="middle" font-size="13" font-weight="600" fill="{INK}">'
        f"{status}</text>"
    )


def arrow(before: Status, after: Status, why: str) -> list[str]:
    """Draw the way from one status to another: straight to a neighbour, else along the line above or below."""
    (x0, y0), (x1, y1) = centre(before), centre(after)
    if y0 == y1:
        start, end = x0 + WIDTH // 2, x1 - WIDTH // 2
        return [line(f"M{start} {y0}H{end}"), text((start + end) // 2, y0 - 6, why, "middle")]
    if after is Status.FAILED:
        # UNKNOWN stands below the others: its line goes up through the gap on its left.
        gap = x0 - WIDTH // 2 - 8
        way = f"M{x0 - WIDTH // 2} {y0}H{gap}V{y1}" if before is Status.UNKNOWN else f"M{x0} {y0 - HEIGHT // 2}V{y1}"
        label = (gap - 6, y0 - 26, "end") if before is Status.UNKNOWN else (x0 + 6, y1 + 20, "start")
        return [line(f"{way}H{x1 - WIDTH // 2}"), *lines(label, why)]
    middle = (y0 + y1) // 2
    return [
        line(f"M{x0} {y0 + HEIGHT // 2}V{middle}H{x1}V{y1 - HEIGHT // 2}"),
        text(x0 + 6, y0 + HEIGHT // 2 + 15, why, "start"),
    ]


def lines(place: tuple[int, int, str], why: str) -> list[str]:
    """Write a reason, a line for each of its parts."""
    x, y, anchor = place
    return [text(x, y + 14 * number, part, anchor) for number, part in enumerate(why.split(", "))]


def line(way: str) -> str:
    """Draw a way with an arrow's head."""
    return f'<path d="{way}" fill="none" stroke="{LINE}" stroke-width="1.25" marker-end="url(#head)"/>'


def text(x: int, y: int, words: str, anchor: str) -> str:
    """Write a few words; nothing for none."""
    if not words:
        return ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11.5" fill="{INK}">{escape(words)}</text>'


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(), encoding="utf-8")
