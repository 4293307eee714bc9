"""Content values: each of the four kinds is told apart, and a bad one says what is wrong."""

import base64

import pytest

from core.errors import FetchError, InvalidRequestError, MediaError
from core.media.references import InlineRef, ObjectRef, UrlRef, parse_content

BYTES = bytes(range(256))
TEXT = base64.b64encode(BYTES).decode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://example.com/a.jpg?x=1", UrlRef("https://example.com/a.jpg?x=1")),
        (" HTTPS://example.com/ ", UrlRef("HTTPS://example.com/")),
        ("http://example.com/", UrlRef("http://example.com/")),
        ("s3://bucket/a/b c?.jpg", ObjectRef("bucket", "a/b c?.jpg")),
        ("s3://my.bucket-1/%41", ObjectRef("my.bucket-1", "%41")),
        (TEXT, InlineRef(BYTES)),
        ("\n".join(TEXT[i : i + 76] for i in range(0, len(TEXT), 76)), InlineRef(BYTES)),
        (f"data:image/PNG;base64,{TEXT}", InlineRef(BYTES, "image/png")),
        (f"DATA:image/png;name=a;BASE64,{TEXT}", InlineRef(BYTES, "image/png")),
        (f"data:;base64,{TEXT}", InlineRef(BYTES, None)),
        (f"data:image/png;base64,{TEXT.replace('+', '%2B')}", InlineRef(BYTES, "image/png")),
        ("data:image/gif,GIF89a%00%ff", InlineRef(b"GIF89a\x00\xff", "image/gif")),
    ],
)
def test_each_kind_is_read(value: str, expected: object) -> None:
    assert parse_content(value, max_bytes=1000) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "   ",
        "photo.jpg",
        "/etc/passwd",
        "a",
        "====",
        "QUJD=QUJD",
        "-_-_",
        "Zürich",
        TEXT[:-1],
        "data:image/png;base64",
        "data:image/png;base64,***",
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "s3:///key",
        "s3:bucket/key",
        "s3://Bu_cket/key",
        "s3://u:p@bucket/key",
    ],
)
def test_a_malformed_value_is_the_callers_fault(value: str) -> None:
    with pytest.raises(InvalidRequestError):
        parse_content(value, max_bytes=1000)


@pytest.mark.parametrize(
    "value", ["file:///etc/passwd", "ftp://x/y", "gopher://x", "javascript:1", r"C:\photo.jpg"]
)
def test_other_schemes_are_never_fetched(value: str) -> None:
    with pytest.raises(FetchError, match="never fetched"):
        parse_content(value, max_bytes=1000)


@pytest.mark.parametrize("value", [TEXT, f"data:,{'%41' * 256}", f"data:a/b;base64,{TEXT}"])
def test_inline_bytes_are_bounded(value: str) -> None:
    assert isinstance(parse_content(value, max_bytes=256), InlineRef)
    with pytest.raises(MediaError, match="at most"):
        parse_content(value, max_bytes=200)


def test_errors_do_not_repeat_the_content() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_content("!" * 1_000_000, max_bytes=10_000_000)
    assert len(caught.value.message) < 300
