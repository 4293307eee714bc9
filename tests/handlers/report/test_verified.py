"""The page says what places of pictures prove, and of a clear file what was compared by them."""

from handlers.report.page import render
from tests.handlers.report.answers import URI, cell, file_of, match, report
from tests.handlers.report.test_page import text_of

ACCOUNT = {"places": 300, "checked": 4, "verified": 1, "without_places": 2, "unchecked": 3}
EVIDENCE = {
    "compared": 9,
    "best_score": 0.8,
    "exact": True,
    "snapshots": {"col_1": 4},
    "features": {
        URI: {"compared": 9, "best_score": 0.8, "whole": True, "verification": ACCOUNT},
    },
}
COUNTED = (
    "of 4 references that are not near but within reach, 1 have places that agree; 2 have none to "
    "compare, 3 farther ones were not looked at"
)


def test_a_match_by_places_is_said_beside_its_distance() -> None:
    found = match(distance=77)
    hit = found["documents"][0]["features"][URI]
    hit |= {"hash_score": hit["score"], "score": 0.8, "inliers": 21}
    held = cell("review", **found, evidence=EVIDENCE)
    text = text_of(render(report(file_of("a.jpg", "review", {"copies": held}))))
    assert "Distance 77 of 256 bits" in text
    assert "That is too far by itself. 21 places of both pictures agree" in text
    assert COUNTED in text


def test_a_clear_file_says_whether_places_were_compared() -> None:
    held = cell("clear", evidence=EVIDENCE)
    assert COUNTED in text_of(render(report(file_of("a.jpg", "clear", {"copies": held}))))
    plain = text_of(render(report(file_of("a.jpg", "clear", {"copies": cell("clear")}))))
    assert "places that agree" not in plain


def test_points_that_agree_in_a_logo_are_no_such_match() -> None:
    found = match(distance=2)
    found["documents"][0]["features"][URI]["inliers"] = 21
    held = cell("block", **found)
    text = text_of(render(report(file_of("a.jpg", "block", {"copies": held}))))
    assert "too far by itself" not in text
