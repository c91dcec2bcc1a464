"""Draws ``docs/pictures/polling.svg``: CPU a round against the number of runs, both on logarithmic scales."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["draw"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 440, 76, 190, 56, 56
INK, LINE, PALE = "#1f2328", "#5b6470", "#e4e7eb"
OURS, FLOOR, PEERS = "#0b6e4f", "#7a8088", ("#c2410c", "#7c3aed", "#0369a1", "#be185d")
LABEL_PITCH = 16


def draw(lines: Mapping[str, Sequence[tuple[int, float]]], interval_ms: float) -> str:
    """Draw the picture.

    :param lines: of each contender, ours and the floor first, the number of runs and the milliseconds of CPU a round.
    :param interval_ms: the interval: a loop that needs more has no time left.
    :return: SVG.
    """
    counts = sorted({n for points in lines.values() for n, _ in points})
    costs = [ms for points in lines.values() for _, ms in points]
    low, high = math.floor(math.log10(min(costs))), math.log10(interval_ms) + 0.25
    first, last = math.log10(counts[0]), math.log10(counts[-1])

    def x(n: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(n) - first) / ((last - first) or 1)

    def y(ms: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(ms) - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"',
        ' font-family="system-ui, sans-serif" font-size="13" role="img">',
        "<title>CPU of the triggerer's process a round, against the number of runs</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
        text(24, 30, "CPU of the process for one look at each run", "start", INK, 15),
    ]
    for power in range(low, math.floor(high) + 1):
        parts.append(rule(LEFT, y(10**power), WIDTH - RIGHT, y(10**power), PALE))
        parts.append(text(LEFT - 8, y(10**power) + 4, f"{10**power:,} ms", "end"))
    for n in counts:
        parts.append(rule(x(n), TOP, x(n), HEIGHT - BOTTOM, PALE))
        parts.append(text(x(n), HEIGHT - BOTTOM + 20, f"{n:,}", "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "runs that are waited for", "middle"))
    parts.append(rule(LEFT, y(interval_ms), WIDTH - RIGHT, y(interval_ms), LINE, dashed=True))
    told = f"the interval, {interval_ms / 1000:g} s: no more fits"
    parts.append(text(WIDTH - RIGHT - 6, y(interval_ms) - 6, told, "end"))
    labels: list[tuple[float, str, str]] = []
    for (label, points), colour in zip(lines.items(), (OURS, FLOOR, *PEERS), strict=False):
        path = " ".join(f"{x(n):.1f},{y(ms):.1f}" for n, ms in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x(n):.1f}" cy="{y(ms):.1f}" r="4" fill="{colour}"/>' for n, ms in points]
        labels.append((y(points[-1][1]), label, colour))
    parts += placed(labels)
    return "\n".join([*parts, "</svg>"]) + "\n"


def placed(labels: list[tuple[float, str, str]]) -> list[str]:
    """Write each label to the right, at the height at which its line ends, none over another."""
    parts: list[str] = []
    lowest = -math.inf
    for at, label, colour in sorted(labels):
        lowest = max(at, lowest + LABEL_PITCH)
        parts.append(text(WIDTH - RIGHT + 12, lowest + 4, label, "start", colour))
    return parts


def rule(x1: float, y1: float, x2: float, y2: float, colour: str, *, dashed: bool = False) -> str:
    """Draw a straight line."""
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashes}/>'


def text(x: float, y: float, words: str, anchor: str, colour: str = LINE, size: int = 13) -> str:
    """Write a line of text."""
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}"'
    return f"<text {where}>{escape(words)}</text>"
