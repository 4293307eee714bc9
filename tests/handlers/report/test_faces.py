"""A match of faces in a report: its distance, and that it proves nobody's identity."""

import re
from dataclasses import replace

from core.scan.thresholds import Measure
from handlers.report.context import Feature
from handlers.report.page import render
from tests.handlers.report.answers import URI, cell, file_of, match, report, retriever
from tests.handlers.report.test_markup import Reader

MEASURE = Measure(128, 0.45, 0.55, "units", "euclidean")


def test_a_face_has_a_distance_of_its_own_and_is_no_proof() -> None:
    found = match(distance=2)
    found["best_match"] |= {"distance": 0.3124, "unit": "units", "score": 1 / 1.3124}
    rule = {URI: {"block_at": MEASURE.score(0.45), "review_at": MEASURE.score(0.55)}}
    made = report(
        file_of("a.jpg", "block", {"copies": cell("block", **found)}),
        retrievers=[retriever(thresholds=rule)],
    )
    features = {URI: Feature(URI, "face.dlib", "Finds faces.", MEASURE)}
    page = render(replace(made, context=replace(made.context, features=features)), None)
    text = re.sub(r"\s+", " ", Reader(page).text)
    assert "Distance 0.3124 units: 0 is the same picture of a face." in text
    assert "do not prove who somebody is. Up to 0.45 is a match, up to 0.55 a possible" in text
    assert "match up to 0.45 units, possible match up to 0.55" in text
    assert "fingerprint. Up" not in text
