"""What crosses between processes: all of an extraction arrives, and nonsense never gets in."""

from typing import Any

import numpy as np
import orjson
import pytest

from core.errors import InvalidRequestError, MediaError, MissingExtraError, TrawlError
from core.media.extraction import extract
from core.media.extractors import IMAGE_PDQ
from core.media.wire import (
    FRAME,
    MAX_BODY_BYTES,
    frame_lengths,
    pack_extraction,
    pack_fault,
    pack_frame,
    read_header,
    unpack_extraction,
    unpack_fault,
)
from core.ports.media import Chunk, Extraction, MediaInfo, MediaWarning, Place
from tests.core.media.pictures import encode, landscape

INFO = MediaInfo("image/png", 10, "ab" * 32, 4, 5)


def roundtrip(extraction: Extraction) -> Extraction:
    frame = pack_frame(*pack_extraction(extraction))
    head, body = frame_lengths(frame[: FRAME.size])
    header = frame[FRAME.size : FRAME.size + head]
    assert len(frame) == FRAME.size + head + body
    return unpack_extraction(IMAGE_PDQ, read_header(header), frame[FRAME.size + head :])


def test_an_extraction_arrives_whole() -> None:
    sent = extract("image.pdq", encode(landscape(1), "PNG"), as_query=True)
    got = roundtrip(sent)
    assert (got.media, got.warnings) == (sent.media, sent.warnings)
    assert [(c.variant, c.quality) for c in got.chunks] == [
        (c.variant, c.quality) for c in sent.chunks
    ]
    assert all(
        np.array_equal(a.vector, b.vector) for a, b in zip(got.chunks, sent.chunks, strict=True)
    )


def test_places_and_warnings_arrive() -> None:
    chunk = Chunk(np.arange(32, dtype=np.uint8), Place(1, 2, (3, 4, 5, 6)))
    note = MediaWarning("low_quality", "why")
    got = roundtrip(Extraction((chunk,), INFO, (note,)))
    assert got.chunks[0].place == chunk.place
    assert got.warnings == (note,)


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({}, b"\0" * 31),
        ({}, b"\0" * 64),
        ({"chunks": []}, b"\0" * 32),
        ({"chunks": [{}]}, b"\0" * 32),
        ({"chunks": 7}, b""),
        ({"media": {"sudo": 1}}, b"\0" * 32),
        ({"media": None}, b"\0" * 32),
        ({"warnings": [3]}, b"\0" * 32),
        ({"chunks": [{"variant": "x", "quality": "many", "place": None}]}, b"\0" * 32),
        ({"chunks": [{"variant": "x", "quality": None, "place": {"box": 1}}]}, b"\0" * 32),
    ],
)
def test_nonsense_is_a_media_error(change: dict[str, Any], body: bytes) -> None:
    good, _ = pack_extraction(Extraction((Chunk(np.zeros(32, np.uint8)),), INFO))
    header = orjson.loads(orjson.dumps({**good, **change}))
    with pytest.raises(MediaError):
        unpack_extraction(IMAGE_PDQ, header, body)


def test_a_vector_that_is_not_finite_is_a_media_error() -> None:
    from dataclasses import replace

    floats = replace(IMAGE_PDQ, metric="cosine", dimension=4)
    chunk = Chunk(np.array([0, 1, np.nan, 2], np.float32))
    header, body = pack_extraction(Extraction((chunk,), INFO))
    with pytest.raises(MediaError):
        unpack_extraction(floats, header, body)


def test_lengths_are_bounded() -> None:
    with pytest.raises(MediaError):
        frame_lengths(FRAME.pack(10, MAX_BODY_BYTES + 1))
    with pytest.raises(MediaError):
        frame_lengths(FRAME.pack(2**31, 0))


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_header_that_is_no_object_is_a_media_error(raw: bytes) -> None:
    with pytest.raises(MediaError):
        read_header(raw)


@pytest.mark.parametrize(
    ("error", "arrives_as"),
    [
        (MediaError("broken"), MediaError),
        (InvalidRequestError("wrong"), InvalidRequestError),
        (MissingExtraError("install"), MissingExtraError),
        (MemoryError(), MediaError),
        (KeyError("/secret/path"), TrawlError),
    ],
)
def test_faults_keep_their_class_and_strangers_only_their_name(
    error: Exception, arrives_as: type[TrawlError]
) -> None:
    got = unpack_fault(pack_fault(error))
    assert type(got) is arrives_as
    assert "secret" not in got.message
