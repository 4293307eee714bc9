"""Drawings of a report, as inline SVG: signs of verdicts, distances, waveforms and timelines.

Every one is decoration beside words that say the same, or has a title that does.
"""

from collections.abc import Sequence
from typing import Any, Final

from handlers.report.markup import Html, element, join
from handlers.report.match import Box
from handlers.report.words import clock, span

# Shapes that differ without colour, in a square of 24: an octagon, a triangle, a diamond, a disc.
_SIGNS: Final = {
    "block": "M8 2h8l6 6v8l-6 6H8l-6-6V8zM8 8l8 8M16 8l-8 8",
    "review": "M12 2.5 22.5 21h-21zM12 9v6M12 17.6v.8",
    "unknown": "M12 1.5 22.5 12 12 22.5 1.5 12z"
    "M9.4 9.6a2.7 2.7 0 1 1 3.7 2.5c-.8.3-1.1.8-1.1 1.6M12 16.4v.8",
    "clear": "M12 2a10 10 0 1 0 .01 0zM7.5 12.3l3 3 6-6.3",
    "not_applicable": "M4 12h16",
}
_WIDE: Final = 960  # units of a timeline's width; it is drawn as wide as there is room
_HIGH: Final = 56
_SHAPE_TOLERANCE: Final = 0.05


def sign(word: str) -> Html:
    """Return a verdict's sign; the words beside it say what it means."""
    # The outline is filled, the rest is drawn over it: each path's first part is the outline.
    path = _SIGNS.get(word, _SIGNS["unknown"])
    outline, _, mark = path.partition("zM")
    closed = bool(mark)
    parts = [element("path", d=outline + "z" * closed, class_="shape" if closed else "mark")]
    if closed:
        parts.append(element("path", d=f"M{mark}", class_="mark"))
    return element("svg", *parts, class_=f"sign {word}", viewBox="0 0 24 24", aria_hidden="true")


def boxed(picture: Html, box: Box | None, size: tuple[Any, Any], shown: tuple[int, int]) -> Html:
    """Return a picture with a frame around the box, in px of the file's own `size`; `shown` is
    the picture's. Where the two do not have the same shape, nothing is framed."""
    if box is None or not all(isinstance(side, int) and side > 0 for side in size):
        return picture
    width, height = size
    if abs(shown[0] * height / (shown[1] * width) - 1) > _SHAPE_TOLERANCE:
        width, height = height, width  # turned by its metadata: boxes are of what is seen
    if abs(shown[0] * height / (shown[1] * width) - 1) > _SHAPE_TOLERANCE:
        return picture
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], width), min(box[3], height)
    if right <= left or bottom <= top:
        return picture
    sides = (("x", left), ("y", top), ("width", right - left), ("height", bottom - top))
    rect = {name: f"{value:g}" for name, value in sides}
    frames = (element("rect", class_=name, **rect) for name in ("halo", "box"))
    drawing = element("svg", *frames, viewBox=f"0 0 {width} {height}", aria_hidden="true")
    return element("span", picture, drawing, class_="boxed")


def distance_scale(distance: float, block_at: float, review_at: float, unit: str) -> Html:
    """Return a scale from 0 on with the two zones and a mark at the distance."""
    end = max(review_at * 2, distance * 1.08, 1.0)

    def x(value: float) -> float:
        return min(max(value, 0.0), end) / end * _WIDE

    parts = [
        _rect(0, 14, x(block_at), 12, "zone block"),
        _rect(x(block_at), 14, x(review_at) - x(block_at), 12, "zone review"),
        _rect(x(review_at), 14, _WIDE - x(review_at), 12, "zone far"),
        element(
            "path",
            d=f"M{x(distance):.1f} 28l-7 -24h14z",
            class_="needle",
        ),
    ]
    title = (
        f"Distance {distance:g} {unit} on a scale where up to {block_at:g} is a match and up to "
        f"{review_at:g} a possible match"
    )
    return _drawing("scale", 30, title, parts)


def timeline(
    duration_ms: int,
    marked: tuple[int, int],
    *,
    title: str,
    pieces: Sequence[tuple[int, int]] = (),
    loudness: Sequence[int] = (),
) -> Html:
    """Return a recording from its beginning to its end, with the marked seconds.

    With `loudness` it is a waveform; `pieces` are drawn as a line below what is marked.
    """
    end = max(duration_ms, marked[1], 1)

    def x(ms: float) -> float:
        return min(max(ms, 0.0), end) / end * _WIDE

    left, right = x(marked[0]), x(marked[1])
    parts = [
        _rect(0, 0, _WIDE, _HIGH, "ground"),
        _rect(left, 0, max(right - left, 2), _HIGH, "hit"),
    ]
    if loudness:
        parts.append(_wave(loudness, duration_ms, end))
    parts += [_rect(x(a), _HIGH - 3, max(x(b) - x(a), 1.5), 3, "piece") for a, b in pieces[:200]]
    parts += [_rect(side - 1, 0, 2, _HIGH, "edge") for side in (left, right)]
    kind = "timeline" if loudness else "timeline bare"
    drawing = _drawing(kind, _HIGH, f"{title}: {span(*marked)} marked", parts)
    return join(drawing, _ticks(end))


def _wave(loudness: Sequence[int], duration_ms: int, end: int) -> Html:
    middle = _HIGH // 2
    step = _WIDE * min(1.0, duration_ms / end) / len(loudness)
    highest = max(*loudness, 32)  # near silence stays near the middle
    bars = "".join(
        # Whole units: a page may hold a thousand of these.
        f"M{round((n + 0.5) * step)} {middle - half}v{2 * half}"
        for n, peak in enumerate(loudness)
        for half in [max(1, round(peak / highest * (middle - 5)))]
    )
    return element("path", d=bars, class_="wave", stroke_width=f"{max(step * 0.6, 1):.1f}")


def _ticks(end: int) -> Html:
    """Return a row of times: as few as fit a phone."""
    return element(
        "div",
        *(element("span", clock(end * part / 2)) for part in range(3)),
        class_="ticks",
        aria_hidden="true",
    )


def _rect(x: float, y: float, width: float, height: float, name: str) -> Html:
    return element(
        "rect",
        x=f"{x:.1f}",
        y=f"{y:.1f}",
        width=f"{max(width, 0):.1f}",
        height=f"{height:.1f}",
        class_=name,
    )


def _drawing(name: str, height: float, title: str, parts: Sequence[Html]) -> Html:
    return element(
        "svg",
        element("title", title),
        *parts,
        class_=name,
        viewBox=f"0 0 {_WIDE} {height:g}",
        preserveAspectRatio="none",
        role="img",
        aria_label=title,
    )
