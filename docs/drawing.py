"""Boxes, arrows and words, as SVG: what the programs that draw the docs' pictures share."""

from __future__ import annotations

from html import escape
from pathlib import Path

PICTURES = Path(__file__).parent / "pictures"
LINE, INK, SOFT = "#5b6470", "#1f2328", "#57606a"
GROUND, BOX, OURS, THEIRS, GOOD, BAD = "#ffffff", "#f6f8fa", "#e3effb", "#f3e6d3", "#dff3e4", "#fbe1e1"


class Drawing:
    """A picture that grows piece by piece.

    :param title: what it shows, for those who can't see it.
    :param width: in pixels.
    :param height: in pixels.
    """

    def __init__(self, title: str, width: int, height: int) -> None:
        self.head = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"',
            f' height="{height}" font-family="system-ui, sans-serif" role="img">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"',
            ' markerHeight="7" orient="auto">',
            f'<path d="M0 0 8 4 0 8z" fill="{LINE}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="8" fill="{GROUND}"/>',
        ]
        self.parts: list[str] = []
        self.width = width

    def group(self, x: int, y: int, width: int, height: int, words: str) -> None:
        """Draw a frame around what belongs together, its name in the corner."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="none" stroke="{LINE}"'
            ' stroke-width="1" stroke-dasharray="4 4"/>'
        )
        if words:
            self.text(x + 12, y + 19, words, colour=SOFT)

    def band(self, top: int, bottom: int, fill: str) -> None:
        """Colour a part of the height, nearly as wide as the picture."""
        self.parts.append(
            f'<rect x="16" y="{top}" width="{self.width - 32}" height="{bottom - top}" rx="8" fill="{fill}"/>'
        )

    def box(self, x: int, y: int, width: int, words: str, more: str = "", *, height: int = 46, fill: str = BOX) -> None:
        """Draw a box with a name and, smaller, what it does; each ``|`` begins a new line."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="{LINE}"'
            ' stroke-width="1.25"/>'
        )
        lines = [(words, 13, 600), *((part, 11, 400) for part in more.split("|") if part)]
        top = y + height / 2 - 7.5 * (len(lines) - 1) + 4.5
        for number, (part, size, weight) in enumerate(lines):
            self.text(x + width // 2, top + 15 * number, part, "middle", size, weight)

    def arrow(
        self, way: str, words: str = "", at: tuple[float, float, str] = (0, 0, "middle"), *, dashed: bool = False
    ) -> None:
        """Draw an arrow along an SVG path, with words beside it."""
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<path d="{way}" fill="none" stroke="{LINE}" stroke-width="1.25"{dashes} marker-end="url(#head)"/>'
        )
        x, y, anchor = at
        for number, part in enumerate(words.split("|") if words else ()):
            self.text(x, y + 14 * number, part, anchor, 11.5)

    def line(self, way: str, colour: str = LINE) -> None:
        """Draw a line without a head."""
        self.parts.append(f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.25"/>')

    def text(
        self,
        x: float,
        y: float,
        words: str,
        anchor: str = "start",
        size: float = 12,
        weight: int = 400,
        colour: str = INK,
    ) -> None:
        """Write a line."""
        self.parts.append(
            f'<text x="{x}" y="{y:g}" text-anchor="{anchor}" font-size="{size:g}" font-weight="{weight}"'
            f' fill="{colour}">{escape(words)}</text>'
        )

    def svg(self) -> str:
        """Give the picture."""
        return "\n".join([*self.head, *self.parts, "</svg>"]) + "\n"
