"""The table of extractors: names, URIs, and that listing them loads no media library."""

import subprocess
import sys

import pytest

from core.errors import InvalidRequestError
from core.media.extractors import (
    EXTRACTORS,
    IMAGE_PDQ,
    IMAGE_PDQ_V1,
    find_extractor,
    versions_of,
    view_names,
)


@pytest.mark.parametrize(
    "reference",
    [
        "image.pdq",
        "image.pdq@v2",
        "mixpeek://image.pdq@v2/hash",
        "trawl://image.pdq@v2/hash",
        "image_pdq_v2_hash",
    ],
)
def test_finds_by_each_of_its_names(reference: str) -> None:
    assert find_extractor(reference) is IMAGE_PDQ


def test_an_older_version_is_found_by_all_that_name_it() -> None:
    for reference in ("image.pdq@v1", "mixpeek://image.pdq@v1/hash", "image_pdq_v1_hash"):
        assert find_extractor(reference) is IMAGE_PDQ_V1
    assert versions_of("image.pdq") == ("v2", "v1")
    assert versions_of("image.nope") == ()


def test_views_are_vectors_of_their_own() -> None:
    assert IMAGE_PDQ_V1.vectors == [IMAGE_PDQ_V1.vector]
    names = [spec.name for spec in IMAGE_PDQ.vectors]
    assert names[:2] == ["image_pdq_v2_hash", "image_pdq_v2_inside"]
    assert len(set(names)) == 8
    assert {spec.dimension for spec in IMAGE_PDQ.vectors} == {256}
    assert view_names("trawl://image.pdq@v2/hash")["image_pdq_v2_centre_90"] == "centre_90"
    assert view_names("image_pdq_v1_hash") == view_names("my_own_vector") == {}


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "image.pdq@v9",
        "mixpeek://image.pdq@v9/hash",
        "s3://image.pdq@v1/hash",
        "mixpeek://image.pdq",
        "x" * 100_000,
    ],
)
def test_an_unknown_one_is_an_error_that_lists_those_known(reference: str) -> None:
    with pytest.raises(InvalidRequestError, match="image.pdq") as caught:
        find_extractor(reference)
    assert len(caught.value.message) < 1000
    assert "mixpeek://image.pdq@v2/hash" in caught.value.problems[0].accepted


def test_names_are_unique_in_every_form() -> None:
    names = [n for e in EXTRACTORS for n in (e.reference, e.feature_uri, e.index_name)]
    assert len(names) == len(set(names))


def test_its_vector_is_what_it_makes() -> None:
    spec = IMAGE_PDQ.vector
    assert (spec.name, spec.dimension, spec.metric) == ("image_pdq_v2_hash", 256, "hamming")
    assert IMAGE_PDQ.thresholds.match == 31
    assert IMAGE_PDQ.thresholds.review == 60


def test_listing_loads_no_media_library() -> None:
    code = "import sys, core.media.extractors, core.ports.media; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own code
