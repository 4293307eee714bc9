"""Previews: made where a crash is safe, and read as if that place were hostile."""

import io
import random
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from core.app import build_previewer
from core.deadline import Deadline
from core.errors import MediaError
from core.media.preview import PARTS, SIDE, make_preview
from core.media.preview_wire import MAX_SIDE, pack_preview, unpack_preview
from core.ports.previews import Picture, Preview, Previewer
from tests.core.media.pictures import encode, landscape
from tests.core.media.recordings import encode_film, encode_sound, film, tune


@pytest.fixture(scope="module")
def previewer() -> Iterator[Previewer]:
    made = build_previewer()
    yield made
    made.close()


def soon() -> Deadline:
    return Deadline.after(30)


def image_of(picture: Picture) -> Image.Image:
    return Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)


def test_a_picture_keeps_its_colours_and_its_sides(previewer: Previewer) -> None:
    wide = Image.new("RGB", (800, 400), (200, 30, 60))
    (shown,) = previewer.preview(encode(wide, "PNG"), deadline=soon()).pictures
    assert (shown.width, shown.height) == (SIDE, SIDE // 2)
    assert image_of(shown).getpixel((5, 5)) == (200, 30, 60)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_picture_can_be_shown(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    picture = Image.new("I;16", (40, 20)) if mode == "I;16" else landscape(1, 40, 20).convert(mode)
    (shown,) = make_preview(encode(picture, kind)).pictures
    assert (shown.width, shown.height) == (40, 20)
    assert len(shown.rgb) == 40 * 20 * 3


def test_a_picture_stands_upright() -> None:
    turned, exif = landscape(2, 60, 40), Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    turned.save(out, "JPEG", exif=exif)
    (shown,) = make_preview(out.getvalue()).pictures
    assert (shown.width, shown.height) == (40, 60)


def test_a_film_is_shown_at_the_times_that_are_asked_for(previewer: Previewer) -> None:
    frames = film(3, 8)
    data = encode_film(frames, "mp4", sound=tune(1, 8))
    shown = previewer.preview(data, deadline=soon(), times_ms=[1100, 5100])
    assert [picture.at_ms for picture in shown.pictures] == [1100, 5100]
    for picture, frame in zip(shown.pictures, (frames[5], frames[25]), strict=True):
        away = np.abs(np.asarray(image_of(picture)).astype(int) - frame.astype(int)).mean()
        assert away < 12
    assert shown.duration_ms == pytest.approx(8000, abs=200)
    assert len(shown.loudness) == PARTS or len(shown.loudness) > 100


def test_loudness_is_where_the_sound_is() -> None:
    sound = tune(1, 8)
    sound[: len(sound) // 2] = 0
    shown = make_preview(encode_sound(sound))
    half = len(shown.loudness) // 2
    assert shown.pictures == ()
    assert max(shown.loudness[: half - 1]) == 0
    assert np.mean(shown.loudness[half + 1 :]) > 20


@pytest.mark.parametrize("data", [b"", b"text, whatever its name says", b"%PDF-1.7 more"])
def test_what_is_no_media_is_a_fault_of_the_file(previewer: Previewer, data: bytes) -> None:
    with pytest.raises(MediaError):
        previewer.preview(data, deadline=soon())


def test_damaged_files_leave_the_process_as_it_was(previewer: Previewer) -> None:
    whole = [encode(landscape(1), "JPEG"), encode_film(film(1, 3), "mp4"), encode_sound(tune(1, 4))]
    rng = random.Random(7)  # noqa: S311 - damage, not a secret
    for n in range(60):
        data = bytearray(whole[n % 3])
        for _ in range(rng.randint(1, 40)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            shown = previewer.preview(bytes(data[: rng.randint(1, len(data))]), deadline=soon())
        except MediaError:
            continue
        assert all(len(p.rgb) == 3 * p.width * p.height for p in shown.pictures)
    assert previewer.preview(whole[0], deadline=soon()).pictures


def test_what_was_packed_is_unpacked() -> None:
    preview = Preview((Picture(2, 1, b"abcdef", 40), Picture(1, 1, b"xyz")), (0, 255), 1234)
    header, body = pack_preview(preview)
    assert unpack_preview(header, body) == preview


@pytest.mark.parametrize(
    "pictures",
    [
        [[MAX_SIDE + 1, 1, None]],
        [[0, 1, None]],
        [[-1, -1, None]],
        [[True, 1, None]],
        [[1, 1, "now"]],
        [[1.5, 2, None]],
        [[2, 2, None]],
        [[1, 1, None]] * 9,
        [[1, 1]],
        "none",
    ],
)
def test_a_process_that_lies_is_not_believed(pictures: object) -> None:
    header = {"pictures": pictures, "duration_ms": None}
    with pytest.raises(MediaError):
        unpack_preview(header, b"123")
