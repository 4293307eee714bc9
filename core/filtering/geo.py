"""Points on the Earth and the areas that filters ask for: circles, boxes, polygons."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from core.types import JsonValue

# Mean radius in metres, IUGG (Moritz 2000).
EARTH_RADIUS = 6_371_008.8

# (longitude, latitude) in degrees.
Point = tuple[float, float]
Ring = tuple[Point, ...]
Contains = Callable[[Point], bool]
# Of a polygon and its holes: every stored point is held against each.
MAX_CORNERS = 10_000

POINT_SHAPE = "{lat, lon} or [lon, lat], in degrees within ±90 and ±180"


def read_point(value: JsonValue) -> Point | None:
    """Return (lon, lat) of `{lat, lon}` or `[lon, lat]`; None if it is no point on the Earth."""
    lon: JsonValue
    lat: JsonValue
    if isinstance(value, dict):
        lon, lat = value.get("lon"), value.get("lat")
    elif isinstance(value, list) and len(value) == 2:
        lon, lat = value
    else:
        return None
    if not (_is_number(lon) and _is_number(lat)):
        return None
    # Also false for NaN and for integers too large for a float.
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        return None
    return float(lon), float(lat)


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def stored_points(value: JsonValue) -> list[Point]:
    """Return the points of a field that holds one point or a list of them; others are skipped."""
    point = read_point(value)
    if point is not None:
        return [point]
    found = [read_point(element) for element in value] if isinstance(value, list) else []
    return [point for point in found if point is not None]


def distance(a: Point, b: Point) -> float:
    """Return the great-circle distance in metres by the haversine formula (Sinnott 1984)."""
    (lon_a, lat_a), (lon_b, lat_b) = a, b
    north = math.sin(math.radians(lat_b - lat_a) / 2) ** 2
    east = math.sin(math.radians(lon_b - lon_a) / 2) ** 2
    h = north + math.cos(math.radians(lat_a)) * math.cos(math.radians(lat_b)) * east
    return 2 * EARTH_RADIUS * math.asin(math.sqrt(min(1.0, h)))


def circle(value: JsonValue) -> Contains | str:
    """Read `{center, radius}` (metres) as an area, edge included, or say what is wrong."""
    if not isinstance(value, dict) or set(value) != {"center", "radius"}:
        return f"expected {{center, radius}}; center is {POINT_SHAPE}, radius is in metres"
    center, radius = read_point(value["center"]), value["radius"]
    if center is None:
        return f"center must be {POINT_SHAPE}"
    if not _is_number(radius) or not 0 <= radius < math.inf:
        return "radius must be a number of metres, 0 or more"
    return lambda point: distance(center, point) <= radius


def box(value: JsonValue) -> Contains | str:
    """Read `{top_left, bottom_right}` as an area, edges included, or say what is wrong.

    A box whose left edge lies east of its right edge crosses the antimeridian. A pole belongs to
    every box that reaches its latitude, since it has no longitude.
    """
    if not isinstance(value, dict) or set(value) != {"top_left", "bottom_right"}:
        return f"expected {{top_left, bottom_right}}, each {POINT_SHAPE}"
    top_left, bottom_right = read_point(value["top_left"]), read_point(value["bottom_right"])
    if top_left is None or bottom_right is None:
        return f"top_left and bottom_right must be {POINT_SHAPE}"
    (left, top), (right, bottom) = top_left, bottom_right
    if top < bottom:
        return "top_left must not lie south of bottom_right"

    def between(lon: float) -> bool:
        return left <= lon <= right if left <= right else lon >= left or lon <= right

    def contains(point: Point) -> bool:
        lon, lat = point
        if not bottom <= lat <= top:
            return False
        # ±180 are one meridian.
        return abs(lat) == 90 or between(lon) or (abs(lon) == 180 and between(-lon))

    return contains


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a point lies against a ring."""

    inside: bool
    edge: bool


def polygon(value: JsonValue) -> Contains | str:
    """Read `{exterior: {points}, interiors: [{points}]}` as an area, or say what is wrong.

    Edges are straight in longitude and latitude and take the shorter way round, so a ring may
    cross the antimeridian. Edges belong to the area, those of its holes too.
    """
    if not isinstance(value, dict) or "exterior" not in value or set(value) - _POLYGON_KEYS:
        return f"expected {{exterior: {{points}}, interiors?}}; points are {POINT_SHAPE}"
    exterior = _read_ring(value["exterior"], "exterior")
    if isinstance(exterior, str):
        return exterior
    holes = value.get("interiors") or []
    if not isinstance(holes, list):
        return "interiors must be a list of {points}"
    interiors: list[Ring] = []
    for index, hole in enumerate(holes):
        ring = _read_ring(hole, f"interiors.{index}")
        if isinstance(ring, str):
            return ring
        interiors.append(ring)
    if len(exterior) + sum(map(len, interiors)) > MAX_CORNERS:
        return f"a polygon and its holes have at most {MAX_CORNERS} points together"

    def contains(point: Point) -> bool:
        place = _place(exterior, point)
        if place.edge or not place.inside:
            return place.edge
        places = (_place(hole, point) for hole in interiors)
        return not any(hole.inside and not hole.edge for hole in places)

    return contains


_POLYGON_KEYS = {"exterior", "interiors"}


def _read_ring(value: JsonValue, name: str) -> Ring | str:
    """Return the ring with longitudes unwrapped, so that no edge spans more than 180°."""
    raw = value.get("points") if isinstance(value, dict) else value
    if not isinstance(raw, list):
        return f"{name} must be {{points: [...]}}"
    points = [read_point(item) for item in raw]
    ring = [point for point in points if point is not None]
    if len(ring) != len(points):
        return f"{name}.points.{points.index(None)} must be {POINT_SHAPE}"
    if ring and ring[0] == ring[-1]:
        ring.pop()
    if len(set(ring)) < 3:
        return f"{name} needs at least 3 different points"
    unwrapped = [ring[0]]
    for lon, lat in [*ring[1:], ring[0]]:
        unwrapped.append((_nearest(lon, unwrapped[-1][0]), lat))
    if unwrapped.pop()[0] != ring[0][0]:
        return f"{name} runs around a pole, which is not supported: use geo_radius"
    return tuple(unwrapped)


def _nearest(lon: float, reference: float) -> float:
    """Return `lon` plus the whole turns that bring it within 180° of `reference`."""
    while lon - reference > 180:
        lon -= 360
    while reference - lon > 180:
        lon += 360
    return lon


def _place(ring: Ring, point: Point) -> _Place:
    lon, lat = point
    places = [_place_flat(ring, (lon + turn, lat)) for turn in (-360.0, 0.0, 360.0)]
    return _Place(any(p.inside for p in places), any(p.edge for p in places))


def _place_flat(ring: Ring, point: Point) -> _Place:
    """Place a point against a flat ring by the even-odd rule (crossings of an eastward ray)."""
    x, y = point
    inside = False
    previous = ring[-1]
    for current in ring:
        (xa, ya), (xb, yb) = previous, current
        previous = current
        cross = (xb - xa) * (y - ya) - (yb - ya) * (x - xa)
        if cross == 0 and min(xa, xb) <= x <= max(xa, xb) and min(ya, yb) <= y <= max(ya, yb):
            return _Place(inside=True, edge=True)
        if (ya > y) != (yb > y) and x < xa + (y - ya) * (xb - xa) / (yb - ya):
            inside = not inside
    return _Place(inside=inside, edge=False)
