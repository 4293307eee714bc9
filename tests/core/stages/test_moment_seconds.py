"""The seconds that are told of real fingerprints: from where to where, and never beyond a file."""

import numpy as np
import pytest

from core.hits import QueryChunk
from core.media.chromaprint import Fingerprinter, place_ms
from core.media.extractors import AUDIO_CHROMAPRINT, REFERENCE_HOPS
from core.rows.row import Row
from tests.core.media.recordings import RATE, Sound, cut, tune, with_noise
from tests.core.stages.context import Doc, FakeContext
from tests.core.stages.running import run_stage
from tests.core.stages.sounds import vote_rule

SONG, HOST = tune(201, 40), tune(202, 40)
Span = tuple[float, float]


def chunks_of(sound: Sound) -> list[QueryChunk]:
    fingerprinter = Fingerprinter()
    fingerprinter.feed((32_767 * np.clip(sound[::2], -1, 1)).astype(np.int16))  # 11,025 Hz
    windows = fingerprinter.finish().windows()
    return [QueryChunk(vector, *place_ms(n)) for n, vector in enumerate(windows)]


def stored(song: Sound) -> list[Doc]:
    duration = round(1000 * len(song) / RATE)
    return [
        Doc(
            f"song#{n}",
            {
                "_internal": {
                    "chunk": {"of": "song", "index": n},
                    "media": {"duration_ms": duration},
                    "place": {"start_ms": chunk.start_ms, "end_ms": chunk.end_ms},
                }
            },
            {"v": chunk.vector},
        )
        for n, chunk in enumerate(chunks_of(song)[::REFERENCE_HOPS])
    ]


def told(query: Sound, song: Sound = SONG) -> tuple[Span, Span]:
    """Return the seconds of the query and of the song that are told to be the same."""
    chunks = chunks_of(query)
    context = FakeContext(
        {"c": stored(song)},
        extractor=lambda _: chunks,
        vote_rules={"v": vote_rule(AUDIO_CHROMAPRINT)},
        metrics={"v": "hamming"},
    )
    value = {"input_mode": "content", "value": "https://x.test/f"}
    parameters = {"searches": [{"feature_uri": "v", "query": value}], "final_top_k": 9}
    rows: list[Row] = run_stage("feature_search", parameters, [], context=context)[0]
    fields = rows[0].fields
    assert fields["aligned"] is True
    ours, theirs = (
        (fields[f"{side}_start_ms"] / 1000, fields[f"{side}_end_ms"] / 1000)
        for side in ("query", "reference")
    )
    return ours, theirs


def off(found: Span, right: Span) -> float:
    return max(abs(found[0] - right[0]), abs(found[1] - right[1]))


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("length", [6.0, 10.3, 18.7])
def test_a_part_in_something_else_is_told_within_half_a_second(length: float, noise: float) -> None:
    errors = []
    for start, at in ((7.3, 12.1), (11.85, 8.6), (15.2, 15.0)):
        parts = [cut(HOST, 0, at), cut(SONG, start, start + length), cut(HOST, at, 30)]
        mixed = with_noise(np.concatenate(parts), 3, share=noise)
        ours, theirs = told(mixed)
        errors += [off(ours, (at, at + length)), off(theirs, (start, start + length))]
    assert max(errors) <= 0.8
    assert np.median(errors) <= 0.5


@pytest.mark.parametrize("at", [0.0, 10.2])
def test_a_whole_song_in_something_else_goes_no_further(at: float) -> None:
    song = cut(SONG, 5, 20)
    ours, theirs = told(np.concatenate([cut(HOST, 0, at), song, cut(HOST, 15, 30)]), song)
    assert off(ours, (at, at + 15)) <= 0.5
    assert 0 <= theirs[0] < theirs[1] <= 15
    assert off(theirs, (0, 15)) <= 0.5


@pytest.mark.parametrize(("start", "end"), [(0.0, 20.1), (9.95, 25.0), (19.9, 40.0)])
def test_a_clip_is_the_song_from_its_first_to_its_last_second(start: float, end: float) -> None:
    ours, theirs = told(cut(SONG, start, end))
    assert off(ours, (0, end - start)) <= 0.5
    assert off(theirs, (start, end)) <= 0.5
    assert ours[1] <= end - start + 0.001
    assert theirs[1] <= 40
