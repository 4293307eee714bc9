"""Tracks and films by the command line: loaded by the folder, found again with their seconds."""

from pathlib import Path
from typing import Any

import pytest

from tests.core.media.recordings import (
    FPS,
    cut,
    encode_film,
    encode_sound,
    film,
    letterboxed,
    mirrored,
    tune,
    with_noise,
)
from tests.handlers.commands.command_line import Trawl
from tests.servers import Server

TRACKS = [tune(n + 1, 30) for n in range(3)]
FILMS = [film(n + 1, 12) for n in range(3)]


@pytest.fixture
def trawl(server: Server) -> Trawl:
    """The command against a server: its media processes are started once."""
    name = server.new_namespace().namespace
    assert name is not None
    return Trawl(
        ["--api", server.base_url, "--key", server.running.admin_key], ["--namespace", name]
    )


def load(trawl: Trawl, folder: Path, kind: str, extractor: str) -> Any:
    return trawl.json("load", str(folder), "--collection", kind, "--extractor", extractor)


def write(folder: Path, **files: bytes) -> list[str]:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [str(folder / name) for name in files]


@pytest.fixture
def tracks(trawl: Trawl, tmp_path: Path) -> Path:
    """A folder of three tracks, loaded, with the retriever `sounds`."""
    folder = tmp_path / "tracks"
    write(
        folder, **{f"{n}.mp3": encode_sound(t, "mp3", "libmp3lame") for n, t in enumerate(TRACKS)}
    )
    assert load(trawl, folder, "tracks", "audio.chromaprint")["loaded"] == 3
    options = ("--collection", "tracks", "--extractor", "audio.chromaprint")
    trawl.run("retrievers", "create", "sounds", *options)
    return folder


def test_an_excerpt_is_found_with_its_seconds(trawl: Trawl, tracks: Path, tmp_path: Path) -> None:
    excerpt = cut(TRACKS[1], 12, 22)
    files = write(
        tmp_path / "in",
        opus=encode_sound(excerpt, "ogg", "libopus", rate=48_000),
        noisy=encode_sound(with_noise(excerpt, 5, share=0.3), "mp4", "aac"),
        film=encode_film(FILMS[0][: 10 * FPS], "mp4", "mpeg4", sound=excerpt),
        stranger=encode_sound(tune(9, 10), "mp3", "libmp3lame"),
        short=encode_sound(cut(excerpt, 0, 2)),
        text=b"no sound at all",
    )
    rows = trawl.json("batch", "sounds", *files, status=1)
    verdicts = [row["verdict"] for row in rows]
    assert verdicts == ["match", "match", "match", "clear", "unknown", "unknown"]
    assert "too short" in rows[4]["reason"]
    for row in rows[:3]:
        best = row["best_match"]
        assert best["path"] == "1.mp3"
        assert abs(best["reference_start_ms"] - 12_000) < 300
        assert abs(best["reference_end_ms"] - 22_000) < 300
        share = best["chunks_matched"] / best["chunks_searched"]
        assert 0.3 < best["score"] <= share <= 1.0
        assert len(row["result"]["documents"]) == 1  # the file once, not each of its chunks
    table = trawl.run("batch", "sounds", files[0]).stdout.splitlines()
    assert table[1].split()[:3] == [files[0], "match", "1.mp3"]
    assert "12.0-2" in table[1]
    assert table[1].endswith(" s")


def test_loading_tracks_again_changes_nothing(trawl: Trawl, tracks: Path) -> None:
    again = load(trawl, tracks, "tracks", "audio.chromaprint")
    assert (again["loaded"], again["skipped"], again["failed"]) == (0, 3, [])


def test_a_track_stored_in_part_is_said_to_be(trawl: Trawl, tmp_path: Path) -> None:
    whole = encode_sound(TRACKS[0])
    write(tmp_path / "odd", cut=whole[: len(whole) // 2], silent=encode_sound(0 * TRACKS[0]))
    options = ["--collection", "odd", "--extractor", "audio.chromaprint"]
    report = trawl.json("load", str(tmp_path / "odd"), *options, status=1)
    assert (report["loaded"], report["document_count"]) == (1, 1)
    assert [problem["file"] for problem in report["partial"]] == ["cut"]
    [silent] = report["failed"]
    assert silent["file"] == "silent"
    assert "not loaded: the sound is silence; copies" in silent["reason"]


def test_films_are_found_cut_mirrored_and_letterboxed(trawl: Trawl, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    write(folder, **{f"{n}.mp4": encode_film(f, "mp4", "mpeg4") for n, f in enumerate(FILMS)})
    assert load(trawl, folder, "films", "video.vpdq")["loaded"] == 3
    trawl.run("retrievers", "create", "films", "--collection", "films", "--extractor", "video.vpdq")
    clip = FILMS[2][4 * FPS : 10 * FPS]
    files = write(
        tmp_path / "in",
        small=encode_film(clip, "webm", "libvpx-vp9", bit_rate=200_000),
        mirrored=encode_film(mirrored(clip), "mp4", "libx264"),
        boxed=encode_film(letterboxed(clip, 20), "mp4", "libx264"),
        stranger=encode_film(film(8, 6), "mp4", "libx264"),
    )
    rows = trawl.json("batch", "films", *files)
    assert [row["verdict"] for row in rows] == ["match", "match", "match", "clear"]
    for row in rows[:3]:
        best = row["best_match"]
        assert best["path"] == "2.mp4"
        assert abs(best["reference_start_ms"] - 4000) <= 1000
    assert rows[1]["best_match"]["query_variant"] == "flip_horizontal"
