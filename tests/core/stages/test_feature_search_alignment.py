"""feature_search over recordings whose chunks are proven by laying them over the reference."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.filtering.conditions import parse_filter
from core.hits import QueryChunk
from core.media.extractors import AUDIO_CHROMAPRINT, HOP_MS, REFERENCE_HOPS
from core.rows.row import Row
from core.stages import _aligned_moments
from core.stages._aligned_moments import MAX_IN_VAIN
from core.types import JsonObject
from tests.core.stages.context import Doc, FakeContext
from tests.core.stages.running import run_stage
from tests.core.stages.sounds import Bits, noisy, sound, vote_rule, windows

RULE = vote_rule(AUDIO_CHROMAPRINT)
SONGS = {f"song{n}": sound(n, 300) for n in range(3)}
LENGTH = 81  # hops: 10 s


def stored(songs: dict[str, Bits], **more: Any) -> list[Doc]:
    return [
        Doc(
            f"{name}#{n}",
            {
                **more,
                "late": bool(start > 18_000),
                "_internal": {
                    "chunk": {"of": name, "index": n},
                    "place": {"start_ms": int(start), "end_ms": int(start) + 3590},
                },
            },
            {"v": vector},
        )
        for name, bits in songs.items()
        for n, (start, vector) in enumerate(zip(*windows(bits, REFERENCE_HOPS), strict=True))
    ]


def chunks_of(bits: Bits) -> list[QueryChunk]:
    return [
        QueryChunk(vector, int(start), int(start) + 3590)
        for start, vector in zip(*windows(bits, 1), strict=True)
    ]


def context(chunks: Sequence[QueryChunk], docs: Sequence[Doc], **more: Any) -> FakeContext:
    return FakeContext(
        {"c": docs},
        extractor=lambda _: chunks,
        vote_rules={"v": RULE},
        metrics={"v": "hamming"},
        **more,
    )


def search(ctx: FakeContext, **more: Any) -> list[Row]:
    query = {"input_mode": "content", "value": "https://x.test/f"}
    parameters = {"searches": [{"feature_uri": "v", "query": query, **more}], "final_top_k": 100}
    return run_stage("feature_search", parameters, [], context=ctx)[0]


def told(row: Row) -> JsonObject:
    names = ("score", "query_start_ms", "query_end_ms", "reference_start_ms", "reference_end_ms")
    body = {name: row.fields[name] for name in (*names, "chunks_matched", "chunks_searched")}
    return {**body, **row.fields["features"]["v"], "chunks": row.fields["query_chunks"]}


def root(row: Row) -> str:
    return row.document_id.partition("#")[0]


@settings(derandomize=True, deadline=None, max_examples=8)
@given(st.integers(0, 219), st.sampled_from([0.0, 0.15]), st.integers(0, 5))
def test_the_moment_depends_on_nothing_but_the_recordings(
    start: int, noise: float, seed: int
) -> None:
    excerpt = noisy(SONGS["song1"][start : start + LENGTH], noise)
    chunks = chunks_of(excerpt)
    alone = search(context(chunks, stored({"song1": SONGS["song1"]})))
    assert alone[0].fields["aligned"] is True
    assert abs(alone[0].fields["reference_start_ms"] - start * HOP_MS) <= 2
    assert alone[0].fields["chunks_matched"] == len(chunks)
    # Neither the order of the chunks nor strangers beside the reference change what is said of it.
    shuffled = [chunks[n] for n in np.random.default_rng(seed).permutation(len(chunks))]
    among = search(context(shuffled, stored(SONGS)))
    assert root(among[0]) == "song1"
    assert told(among[0]) == told(alone[0])
    assert all(row.fields["aligned"] is False for row in among[1:])


def test_what_is_near_enough_to_vote_and_agrees_nowhere_else_proves_nothing() -> None:
    song, query = SONGS["song0"], sound(50, 200)
    query[40:48] = song[100:108]
    ctx = context(chunks_of(query), stored(SONGS))
    found = search(ctx)[0].fields
    differing = 256 * (1 - found["features"]["v"]["similarity"])
    # 3.6 s that are exactly the same count as 36 bits, with each fifth bit wrong as too many.
    assert (found["aligned"], round(differing)) == (True, 36)
    query[40:48] = noisy(song[100:108], 0.18)
    ctx = context(chunks_of(query), stored(SONGS))
    first = search(ctx)[0]
    assert first.fields["query_chunks"]
    assert (root(first), first.fields["aligned"]) == ("song0", False)
    assert "similarity" not in first.fields["features"]["v"]
    assert ctx.report.evidence is not None
    assert ctx.report.evidence.best_score is not None
    assert ctx.report.evidence.best_score < 1 - AUDIO_CHROMAPRINT.thresholds.review / 256


def test_evidence_is_of_what_is_proven() -> None:
    ctx = context(chunks_of(noisy(SONGS["song2"][90:171], 0.1)), stored(SONGS))
    first = search(ctx)[0]
    assert ctx.report.evidence is not None
    assert ctx.report.evidence.best_score == first.fields["features"]["v"]["similarity"]
    best = ctx.report.evidence.best_score
    assert best is not None
    assert 256 * (1 - best) == pytest.approx(25, abs=6)


def test_only_chunks_that_pass_are_compared() -> None:
    chunks = chunks_of(SONGS["song1"][100:181])  # from 12.4 s on: half of them before 18 s
    whole = search(context(chunks, stored(SONGS)))[0].fields
    filter_ = parse_filter({"field": "late", "operator": "eq", "value": True}, "filter")
    late = search(context(chunks, stored(SONGS), filter=filter_))[0].fields
    assert len(late["query_chunks"]) < len(whole["query_chunks"])
    assert all(chunk["reference_start_ms"] > 18_000 for chunk in late["query_chunks"])
    docs = [doc for doc in stored(SONGS) if doc.fields["late"]]
    gone = search(context(chunks, docs))[0].fields
    assert gone["query_chunks"] == late["query_chunks"]


def test_a_film_that_shows_eight_seconds_of_a_song_is_found_at_them() -> None:
    film = sound(60, 600)
    film[300:365] = noisy(SONGS["song0"][40:105], 0.05)
    chunks = chunks_of(film)
    sampled = [chunk for n, chunk in enumerate(chunks) if n % 10 < 4]  # as a bound would
    found = search(context(sampled, stored(SONGS)))[0]
    assert (root(found), found.fields["aligned"]) == ("song0", True)
    offset = found.fields["reference_start_ms"] - found.fields["query_start_ms"]
    assert abs(offset - (40 - 300) * HOP_MS) <= 2
    assert 300 - 8 <= found.fields["query_start_ms"] / HOP_MS <= 310


def test_what_proves_nothing_comes_after_all_that_does() -> None:
    # A stranger with more votes than the song has, at offsets of no meaning.
    query = np.concatenate([SONGS["song0"][100:141], sound(70, 300)])
    stranger = sound(71, 300)
    for hop in range(60, 320, 24):
        stranger[hop - 60 : hop - 52] = noisy(query[hop : hop + 8], 0.17)
    found = search(context(chunks_of(query), stored({"song0": SONGS["song0"], "x": stranger})))
    assert [(root(row), row.fields["aligned"]) for row in found][0] == ("song0", True)
    scores = [row.fields["score"] for row in found]
    assert scores == sorted(scores, reverse=True)


def test_a_song_on_many_records_is_found_on_all_of_them() -> None:
    song = sound(90, 70)
    records = {f"record{n}": song for n in range(MAX_IN_VAIN + 4)}
    query = noisy(song[10:51], 0.1)
    found = search(context(chunks_of(query), stored(records)))
    assert {root(row) for row in found} == set(records)
    assert all(row.fields["aligned"] for row in found)


@pytest.mark.parametrize("most", [2, MAX_IN_VAIN])
def test_recordings_that_were_left_are_told(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_aligned_moments, "MAX_IN_VAIN", most)
    songs = {f"song{n}": sound(n, 100) for n in range(4)}
    query = sound(95, 200)
    for n, song in enumerate(songs.values()):
        query[40 * n : 40 * n + 8] = noisy(song[52:60], 0.17)
    ctx = context(chunks_of(query), stored(songs))
    rows = search(ctx)
    assert [row.fields["aligned"] for row in rows] == [False] * 4
    codes = [entry["code"] for entry in ctx.report.incomplete]
    assert codes == (["candidates_left"] if most < 4 else [])
    assert most > 4 or ctx.report.incomplete[0]["message"].startswith("2 recordings")


def test_what_a_floor_kept_from_voting_is_no_proof_of_nothing() -> None:
    chunks = chunks_of(noisy(SONGS["song1"][100:181], 0.12))
    ctx = context(chunks, stored(SONGS))
    assert not search(ctx, min_score=0.97)
    assert ctx.report.evidence is not None
    assert ctx.report.evidence.best_score is not None
    assert ctx.report.evidence.best_score > 1 - AUDIO_CHROMAPRINT.thresholds.review / 256


def test_a_reference_of_one_chunk_is_found() -> None:
    jingle = sound(80, 9)
    (doc, *_) = stored({"jingle": jingle})
    whole = Doc("jingle", {"_internal": {"place": {"start_ms": 0, "end_ms": 3590}}}, doc.vectors)
    query = np.concatenate([sound(81, 40), noisy(jingle, 0.02), sound(82, 40)])
    found = search(context(chunks_of(query), [whole, *stored(SONGS)]))[0]
    assert (found.document_id, found.fields["aligned"]) == ("jingle", True)
    assert abs(found.fields["query_start_ms"] - 40 * HOP_MS) <= 4 * HOP_MS
