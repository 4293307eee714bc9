"""Areas on the Earth: known distances, the antimeridian, poles, edges and holes."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.filtering.geo import EARTH_RADIUS, box, circle, distance, polygon, read_point
from core.filtering.geo import stored_points as points

BERLIN, PARIS = (13.405, 52.52), (2.3522, 48.8566)


def inside(area: Any, lon: float, lat: float) -> bool:
    assert not isinstance(area, str), area
    return bool(area((lon, lat)))


def test_distance() -> None:
    # 878 km by the published great-circle distance of the two cities.
    assert distance(BERLIN, PARIS) == pytest.approx(877_460, rel=2e-3)
    assert distance((0, 0), (180, 0)) == pytest.approx(EARTH_RADIUS * 3.141592653589793)
    assert distance((10, 90), (-170, 90)) == pytest.approx(0, abs=1e-6)
    assert distance((179.9, 0), (-179.9, 0)) == pytest.approx(22_239, rel=1e-3)
    assert distance(BERLIN, BERLIN) == 0


@pytest.mark.parametrize(
    ("value", "point"),
    [
        ({"lat": 1, "lon": 2}, (2.0, 1.0)),
        ({"lat": 1, "lon": 2, "name": "x"}, (2.0, 1.0)),
        ([2, 1.5], (2.0, 1.5)),
        ({"lat": 91, "lon": 2}, None),
        ({"lat": 1, "lon": 181}, None),
        ({"lat": "1", "lon": 2}, None),
        ({"lat": True, "lon": 2}, None),
        ({"lat": float("nan"), "lon": 2}, None),
        ([1], None),
        ([1, 2, 3], None),
        ([10**400, 1], None),
        (None, None),
        ("1,2", None),
    ],
)
def test_read_point(value: Any, point: Any) -> None:
    assert read_point(value) == point


def test_a_field_holds_one_point_or_many() -> None:
    assert points([2, 1]) == [(2.0, 1.0)]
    assert points([[2, 1], {"lat": 1, "lon": 3}, "bad", [400, 0]]) == [(2.0, 1.0), (3.0, 1.0)]
    assert points([]) == points(None) == points({"lat": 1}) == []


def test_circle_includes_its_edge() -> None:
    radius = distance(BERLIN, PARIS)
    assert inside(circle({"center": [*BERLIN], "radius": radius}), *PARIS)
    assert not inside(circle({"center": [*BERLIN], "radius": radius - 1}), *PARIS)
    assert inside(circle({"center": {"lat": 0, "lon": 180}, "radius": 10}), -180, 0)


def test_box() -> None:
    europe = box({"top_left": {"lat": 60, "lon": -10}, "bottom_right": {"lat": 40, "lon": 20}})
    assert inside(europe, *BERLIN)
    assert inside(europe, -10, 40)
    assert not inside(europe, 21, 50)
    pacific = box({"top_left": [170, 10], "bottom_right": [-170, -10]})
    assert inside(pacific, 175, 0)
    assert inside(pacific, -175, 0)
    assert inside(pacific, 180, 0)
    assert inside(pacific, -180, 0)
    assert not inside(pacific, 0, 0)
    east = box({"top_left": [170, 10], "bottom_right": [180, -10]})
    assert inside(east, -180, 0)  # the same meridian
    assert not inside(east, -179, 0)
    polar = box({"top_left": [0, 90], "bottom_right": [10, 80]})
    assert inside(polar, -120, 90)  # a pole has no longitude
    assert not inside(polar, -120, 89)


SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]]
HOLE = [[4, 4], [6, 4], [6, 6], [4, 6]]


@pytest.mark.parametrize("close", [False, True])
def test_polygon_with_a_hole(close: bool) -> None:
    rings = [ring + ring[:1] if close else ring for ring in (SQUARE, HOLE)]
    area = polygon({"exterior": {"points": rings[0]}, "interiors": [{"points": rings[1]}]})
    assert inside(area, 1, 1)
    assert inside(area, 0, 5)  # an edge
    assert inside(area, 0, 0)  # a corner
    assert not inside(area, 5, 5)  # the hole
    assert inside(area, 4, 5)  # the hole's edge
    assert not inside(area, 10.0001, 5)
    assert not inside(area, -1, 0)  # on the line of an edge, beyond its end


def test_polygon_across_the_antimeridian() -> None:
    area = polygon({"exterior": {"points": [[170, -10], [-170, -10], [-170, 10], [170, 10]]}})
    for lon in (175, -175, 180, -180, 170, -170):
        assert inside(area, lon, 0)
    for lon in (165, -165, 0):
        assert not inside(area, lon, 0)


def test_polygons_of_very_many_points_are_refused() -> None:
    def ring(size: float, count: int) -> dict[str, Any]:
        angles = [2 * math.pi * n / count for n in range(count)]
        return {"points": [[size * math.cos(a), size * math.sin(a)] for a in angles]}

    fits = polygon({"exterior": ring(9, 6_000), "interiors": [ring(1, 3_000)]})
    assert inside(fits, 5, 0)
    assert not inside(fits, 0, 0)
    refused = polygon({"exterior": ring(9, 6_000), "interiors": [ring(1, 3_000), ring(2, 3_000)]})
    assert isinstance(refused, str)
    assert "10000" in refused


def test_concave_polygon() -> None:
    area = polygon({"exterior": {"points": [[0, 0], [10, 0], [10, 10], [5, 2], [0, 10]]}})
    assert inside(area, 1, 5)
    assert inside(area, 9, 5)
    assert not inside(area, 5, 5)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (circle, {"center": [0, 0]}),
        (circle, {"center": [0, 0], "radius": -1}),
        (circle, {"center": [0, 0], "radius": float("inf")}),
        (circle, {"center": [0, 0], "radius": True}),
        (circle, {"center": [0, 95], "radius": 1}),
        (circle, {"center": [0, 0], "radius": 1, "unit": "km"}),
        (circle, []),
        (box, {"top_left": [0, 0]}),
        (box, {"top_left": [0, 0], "bottom_right": [1, 1]}),
        (box, {"top_left": [0, 0], "bottom_right": "x"}),
        (polygon, {}),
        (polygon, {"exterior": {"points": SQUARE[:2]}}),
        (polygon, {"exterior": {"points": [[0, 0], [1, 1], [0, 0], [1, 1]]}}),
        (polygon, {"exterior": {"points": [[0, 0], [1, 1], [200, 0]]}}),
        (polygon, {"exterior": {"points": SQUARE}, "interiors": {"points": HOLE}}),
        (polygon, {"exterior": {"points": SQUARE}, "interiors": [{"points": [[1, 1]]}]}),
        (polygon, {"exterior": {"points": SQUARE}, "holes": []}),
        (polygon, {"exterior": {"points": [[0, 80], [120, 80], [-120, 80]]}}),  # around the pole
    ],
)
def test_wrong_areas_are_told(read: Any, value: Any) -> None:
    assert isinstance(read(value), str)


LON = st.floats(-180, 180)
LAT = st.floats(-89, 89)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(LON, LAT, st.tuples(LON, LAT), st.tuples(st.floats(0.001, 179), st.floats(0.001, 20)))
def test_a_box_and_its_polygon_agree(
    lon: float, lat: float, corner: tuple[float, float], size: tuple[float, float]
) -> None:
    (left, bottom), (width, height) = corner, size
    right, top = (left + width + 180) % 360 - 180, min(89.0, bottom + height)
    if top <= bottom or {left, right} & {180.0, -180.0, lon, lon + 360, lon - 360}:
        return
    if lat in (top, bottom):
        return
    rectangle = box({"top_left": [left, top], "bottom_right": [right, bottom]})
    corners = [[left, bottom], [right, bottom], [right, top], [left, top]]
    assert inside(rectangle, lon, lat) == inside(polygon({"exterior": corners}), lon, lat)
