"""The demonstration runs whole, on pictures made from seeds, and shows what it gets wrong."""

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from handlers import photographs as corpus
from handlers.client_errors import ClientError
from handlers.demo import Exhibit, Photographs, fetch_photographs, opinion, run_demo
from handlers.verdicts import Verdict
from tests.core.media.pictures import encode, landscape


@dataclass(frozen=True, slots=True)
class Made:
    """A picture on disk, as the corpus has them."""

    name: str
    path: Path
    role: str


def photographs(folder: Path) -> Photographs:
    """Return 22 originals and 4 strangers, altered as the corpus alters."""
    pictures = []
    for n in range(26):
        path = folder / f"p{n}.png"
        path.write_bytes(encode(landscape(n + 1), "PNG"))
        pictures.append(Made(path.stem, path, "reference" if n < 22 else "stranger"))

    def alter(picture: Made, way: str) -> bytes:
        rng = random.Random(f"{picture.name} {way}")  # noqa: S311 - a test picture
        with Image.open(picture.path) as image:
            data: bytes = corpus.to_jpeg(corpus.ALTERATIONS[way](image.convert("RGB"), rng))
            return data

    return Photographs(pictures, tuple(corpus.ALTERATIONS), alter)


def test_the_demo_shows_every_file_and_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    shown = photographs(tmp_path)
    run_demo(lambda: shown)
    said = capsys.readouterr().out
    lines = said.splitlines()
    rows = {line.split()[0]: line for line in lines if ".jpg  " in line}
    assert len(rows) == 25
    assert rows["p0-resize.jpg"].split()[1:4] == ["match", "match", "p0.png"]
    assert rows["p22-resize.jpg"].split()[1:3] == ["clear", "clear"]
    assert rows["truncated.jpg"].split()[1:3] == ["unknown", "unknown"]
    assert rows["text-inside.jpg"].endswith("yes")
    missed = [name for name, row in rows.items() if "NO: missed" in row]
    assert missed, "crops and screenshots are beyond a fingerprint of the whole"
    assert all("crop" in name or "screenshot" in name for name in missed)
    assert f"missed: {', '.join(missed)}" in said
    assert "a clear file was compared with 22 photographs, exactly" in said
    assert "20 files: one batch" in said
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("expected", "original", "verdict", "said"),
    [
        ("match", "a.png", Verdict("match", None, {"path": "a.png"}, 3), "yes"),
        ("match", "a.png", Verdict("match", None, {"path": "b.png"}, 3), "NO: another picture"),
        ("match", "a.png", Verdict("review", None, {"path": "a.png"}, 40), "if a person looks"),
        ("match", "a.png", Verdict("clear", None, {"path": "a.png"}, 90), "NO: missed"),
        ("match", "a.png", Verdict("unknown", "why"), "not judged"),
        ("clear", None, Verdict("clear"), "yes"),
        ("clear", None, Verdict("match", None, {"path": "a.png"}, 3), "NO"),
        ("unknown", None, Verdict("clear"), "NO"),
    ],
)
def test_wrong_verdicts_are_called_wrong(
    expected: str, original: str | None, verdict: Verdict, said: str
) -> None:
    assert opinion(Exhibit("x.jpg", b"", expected, original), verdict).text == said


def test_without_the_photographs_the_demo_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def fail(**_: object) -> None:
        raise corpus.CorpusError("pip cannot fetch it")

    monkeypatch.setattr(corpus, "photographs", fail)
    with pytest.raises(ClientError, match="needs its photographs once.*pip cannot fetch it"):
        fetch_photographs(say=lambda _text: None)
