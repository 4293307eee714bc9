"""A match of faces in a report: its distance, and that it proves nobody's identity."""

import re
from dataclasses import replace
from typing import Any

import pytest

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


def words_of(*files: dict[str, Any], extractor: str, name: str = "copies") -> str:
    made = report(*files, retrievers=[retriever(name)])
    features = {URI: Feature(URI, extractor, "Finds what it finds.")}
    page = render(replace(made, context=replace(made.context, features=features)), None)
    return re.sub(r"\s+", " ", Reader(page).text)


@pytest.mark.parametrize("word", ["block", "review"])
def test_a_match_of_faces_is_never_called_a_copy(word: str) -> None:
    file = file_of("a.jpg", word, {"copies": cell(word, **match())})
    text = words_of(file, extractor="face.dlib")
    assert "copy" not in text
    assert "same fingerprint" not in text
    # At the top, on the file's card, in the legend.
    assert text.count("do not prove who somebody is") >= 4
    copies = words_of(file, extractor="image.pdq")
    assert "copy" in copies
    assert "who somebody is" not in copies


def test_clear_of_faces_speaks_of_those_that_were_found() -> None:
    file = file_of("a.jpg", "clear")
    text = words_of(file, extractor="face.dlib")
    assert text.count("A face that was not found was not compared.") == 3
    assert "It was compared completely" not in text
    assert "not found was not compared" not in words_of(file, extractor="image.pdq")


def test_what_a_model_takes_for_alike_is_no_copy() -> None:
    file = file_of("a.jpg", "block", {"copies": cell("block", **match())})
    assert "copy" not in words_of(file, extractor="image.onnx")


def test_the_nearest_is_called_not_near_only_of_what_is_clear() -> None:
    near = match(distance=2)
    for word, said in (("clear", True), ("unknown", False)):
        file = file_of("a.jpg", word, {"copies": cell(word, ("not_exact", "why"), **near)})
        assert ("2 bits away: not near" in words_of(file, extractor="image.pdq")) is said
