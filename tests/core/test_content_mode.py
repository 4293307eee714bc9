"""Content queries over real files: how they are cut, what bounds that, and what every hit says."""

import asyncio
import base64
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from core.app import App
from core.deadline import NEVER
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.execution import AdhocRequest
from core.models.namespaces import Namespace
from core.types import JsonObject
from tests.core.media.pictures import encode, landscape
from tests.core.media.recordings import FPS, cut, encode_film, encode_sound, film, tune
from tests.core.service import make_namespace, running_app, stage

FILMS = [film(n + 1, 12) for n in range(2)]
TUNES = [tune(n + 1, 20) for n in range(2)]
URIS = {
    "films": "mixpeek://video.vpdq@v1/hash",
    "tracks": "mixpeek://audio.chromaprint@v1/fingerprint",
    "pictures": "mixpeek://image.pdq@v2/hash",
}
EXTRACTORS = {"films": "video.vpdq", "tracks": "audio.chromaprint", "pictures": "image.pdq"}
# 6 s of the second film, from its 4th second on, with 6 s of the first tune, from its 5th on.
CLIP = encode_film(FILMS[1][4 * FPS : 10 * FPS], "mp4", "mpeg4", sound=cut(TUNES[0], 5, 11))
SOUND = encode_sound(cut(TUNES[1], 3, 15), "ogg", "libopus", rate=48_000)
PICTURE = encode(landscape(2).resize((200, 150)), "JPEG", quality=70)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running_app(tmp_path_factory.mktemp("data")) as app:
        namespace = make_namespace(app)
        files = {
            "films": [encode_film(each, "mp4", "mpeg4") for each in FILMS],
            "tracks": [encode_sound(each) for each in TUNES],
            "pictures": [encode(landscape(n), "PNG") for n in range(1, 4)],
        }
        for name, several in files.items():
            extractor = {"feature_extractor_name": EXTRACTORS[name]}
            body = {"collection_name": name, "feature_extractor": extractor}
            app.collections.create(namespace.namespace_id, parse_model(CollectionCreate, body))
            documents = [
                {"document_id": f"{name}-{n}", "content": text(data), "payload": {"path": f"{n}"}}
                for n, data in enumerate(several, 1)
            ]
            upsert = {"collection_id": name, "documents": documents}
            request = parse_model(UpsertRequest, upsert)
            assert not app.documents.upsert(namespace, request, deadline=NEVER)["failed"]
        yield app


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Asker:
    """Runs searches by content in one namespace."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.namespace: Namespace = app.namespaces.find("shop")

    def ask(
        self,
        searches: list[JsonObject],
        *,
        settings: Mapping[str, Any] | None = None,
        then: tuple[JsonObject, ...] = (),
        by: JsonObject | None = None,
    ) -> JsonObject:
        """Return the answer of a search stage, and of stages behind it."""
        body = {
            "stages": [stage("feature_search", searches=searches, **(by or {})), *then],
            "collection_identifiers": list(URIS),
            "inputs": {},
            "settings": dict(settings or {}),
        }
        request = parse_model(AdhocRequest, body)
        work = self.app.engine.execute_adhoc(self.namespace, request, deadline=NEVER)
        answer: JsonObject = asyncio.run(work)
        return answer


@pytest.fixture(scope="module")
def asker(app: App) -> Asker:
    return Asker(app)


def by_content(place: str, data: bytes, **more: Any) -> JsonObject:
    query = {"input_mode": "content", "value": text(data)}
    return {
        "feature_uri": URIS[place],
        "query": query,
        "collection_identifiers": [place],
        **more,
    }


def chunk_limits(answer: JsonObject) -> list[tuple[int, int, str]]:
    """Return what max_chunks left out: how many were searched, at most, and who said so."""
    return [
        (limit["applied"], limit["ceiling"], limit["set_by"])
        for limit in answer["limits"]
        if limit["name"] == "max_chunks"
    ]


WHERE = ("query_start_ms", "query_end_ms", "reference_start_ms", "reference_end_ms")


@pytest.mark.parametrize(
    ("place", "data", "root", "times"),
    [
        ("films", CLIP, "films-2", (0, 6000, 4000, 10_000)),
        ("tracks", SOUND, "tracks-2", (0, 12_000, 3000, 15_000)),
        ("tracks", CLIP, "tracks-1", (0, 6000, 5000, 11_000)),
    ],
)
def test_recordings_are_cut_without_being_asked(
    asker: Asker, place: str, data: bytes, root: str, times: tuple[int, ...]
) -> None:
    best = asker.ask([by_content(place, data)])["documents"][0]
    assert best["_internal"]["lineage"]["root_object_id"] == root
    assert [best[name] for name in WHERE] == pytest.approx(times, abs=1100)
    assert 1 < best["chunks_matched"] <= best["chunks_searched"]
    entry = best["features"][URIS[place]]
    assert entry["score"] == best["score"]
    assert {name: entry[name] for name in WHERE} == {name: best[name] for name in WHERE}
    assert all(c["end_ms"] > c["start_ms"] and c["score"] > 0 for c in best["query_chunks"])


@pytest.mark.parametrize("auto", [True, False])
def test_a_picture_is_never_cut(asker: Asker, auto: bool) -> None:
    answer = asker.ask([by_content("pictures", PICTURE)], by={"auto_preprocess": auto})
    best = answer["documents"][0]
    assert (best["document_id"], best["chunks_matched"], best["chunks_searched"]) == (
        "pictures-2",
        1,
        1,
    )
    assert not set(WHERE) & set(best)  # it has no seconds
    assert answer["limits"] == []
    turned = encode(landscape(2).rotate(90, expand=True), "PNG")
    found = asker.ask([by_content("pictures", turned)], by={"auto_preprocess": auto})["documents"][
        0
    ]
    assert (found["document_id"], found["chunks_searched"]) == ("pictures-2", 1)
    assert found["query_variant"] == "rotate_270"


def test_without_auto_preprocess_one_chunk_is_searched_and_that_is_said(asker: Asker) -> None:
    answer = asker.ask([by_content("films", CLIP)], by={"auto_preprocess": False})
    assert chunk_limits(answer) == [(1, 1, "auto_preprocess")]
    assert [entry["code"] for entry in answer["incomplete"]] == ["chunks_sampled"]
    best = answer["documents"][0]
    assert (best["chunks_matched"], best["chunks_searched"]) == (1, 1)
    # A chunk of the file, and where it lies in it: not the file.
    assert best["_internal"]["chunk"]["of"] == "films-2"
    offset = best["reference_start_ms"] - best["query_start_ms"]
    assert offset == pytest.approx(4000, abs=1000)
    # What says how to cut says that it is to be cut.
    cut_all = by_content("films", CLIP, query_preprocessing={})
    assert chunk_limits(asker.ask([cut_all], by={"auto_preprocess": False})) == []


@pytest.mark.parametrize(
    ("request_", "search", "stage_", "expected"),
    [
        (2, 3, 4, (2, 2, "request")),
        (None, 3, 4, (3, 3, "search")),
        (None, None, 4, (4, 4, "stage")),
        (2, None, None, (2, 2, "request")),
        (500, 3, 4, None),
        (None, 500, 2, None),
        (None, None, None, None),
    ],
)
def test_the_request_bounds_chunks_before_the_search_before_the_stage(
    asker: Asker, request_: Any, search: Any, stage_: Any, expected: Any
) -> None:
    own = {} if search is None else {"query_preprocessing": {"max_chunks": search}}
    whole = {} if stage_ is None else {"query_preprocessing": {"max_chunks": stage_}}
    answer = asker.ask(
        [by_content("films", CLIP, **own)], settings={"max_chunks": request_}, by=whole
    )
    assert chunk_limits(answer) == ([] if expected is None else [expected])
    found = answer["documents"][0]
    assert found["chunks_searched"] == (expected[0] if expected else found["chunks_searched"])
    assert answer["complete"] is (expected is None)


def test_the_default_bound_is_told_too(asker: Asker) -> None:
    sound = tune(1, 40)
    whole = asker.ask([by_content("tracks", encode_sound(sound, "mp3", "libmp3lame"))])
    assert chunk_limits(whole) == []  # fewer windows of it are still all of it
    long = encode_sound(np.tile(sound, 6), "mp3", "libmp3lame")
    answer = asker.ask([by_content("tracks", long)])
    [(applied, ceiling, set_by)] = chunk_limits(answer)
    assert (ceiling, set_by) == (240, "default")
    assert 200 < applied <= 240
    [limit] = answer["limits"]
    assert limit["requested"] > 1500


def test_a_searchs_own_preprocessing_wins_over_the_stages(asker: Asker) -> None:
    stages = {"query_preprocessing": {"aggregation": "max", "max_chunks": 2}}
    first = by_content("films", CLIP)
    own = {**first, "query_preprocessing": {"aggregation": "votes"}}
    assert "aligned" not in asker.ask([first], by=stages)["documents"][0]
    answer = asker.ask([own], by=stages)
    assert answer["documents"][0]["aligned"] is True
    assert chunk_limits(answer) == []


def scores(asker: Asker, aggregation: str) -> dict[str, float]:
    entry = by_content("films", CLIP, query_preprocessing={"aggregation": aggregation})
    answer = asker.ask([entry], by={"final_top_k": 100})
    return {one["document_id"]: one["score"] for one in answer["documents"]}


def test_aggregations_are_what_they_are_called(asker: Asker) -> None:
    """Each against the scores of the chunks, which every hit tells."""
    entry = by_content("films", CLIP, query_preprocessing={"aggregation": "rrf"}, top_k=100)
    documents = asker.ask([entry], by={"final_top_k": 100})["documents"]
    told: dict[str, dict[tuple[int, float], float]] = {}
    views: dict[int, int] = {}
    for one in documents:
        for chunk in one["query_chunks"]:
            place = chunk["start_ms"]
            views[place] = views.get(place, 0) + 1
            key = (place, chunk["score"])
            told.setdefault(one["document_id"], {})[key] = chunk["score"]
    most, mean = scores(asker, "max"), scores(asker, "avg")
    assert {name: pytest.approx(max(found.values())) for name, found in told.items()} == most
    assert set(mean) == set(most)
    assert all(mean[name] <= most[name] + 1e-9 for name in most)
    assert [one["score"] for one in documents] == sorted(
        (one["score"] for one in documents), reverse=True
    )
    assert 1 / 61 <= documents[0]["score"] <= len(told) * 8 * 6 / 61
    similarity = documents[0]["features"][URIS["films"]]["similarity"]
    assert similarity == pytest.approx(most[documents[0]["document_id"]])


def test_each_hit_of_fused_chunks_says_where(asker: Asker) -> None:
    entry = by_content("films", CLIP, query_preprocessing={"aggregation": "max"})
    documents = asker.ask([entry], by={"final_top_k": 5})["documents"]
    best = documents[0]
    assert best["reference_start_ms"] - best["query_start_ms"] == pytest.approx(4000, abs=1000)
    for one in documents:
        place = one["_internal"]["place"]
        assert (one["reference_start_ms"], one["reference_end_ms"]) == (
            place["start_ms"],
            place["end_ms"],
        )
        assert 1 <= one["chunks_matched"] <= one["chunks_searched"] <= 6


def test_dedup_field_keeps_the_best_chunk_of_each_value(asker: Asker) -> None:
    preparation = {"aggregation": "max"}
    plain = asker.ask([by_content("films", CLIP, query_preprocessing=preparation)])["documents"]
    once = {**preparation, "dedup_field": "path"}
    found = asker.ask([by_content("films", CLIP, query_preprocessing=once)])["documents"]
    assert sorted(one["path"] for one in found) == ["1", "2"]
    assert found[0]["document_id"] == plain[0]["document_id"]
    assert len(plain) > 2


@pytest.mark.parametrize(
    "name", ["split_method", "time_split_interval", "chunk_size", "chunk_overlap", "anything"]
)
@pytest.mark.parametrize("place", ["films", "tracks", "pictures"])
def test_parameters_that_nothing_here_has_are_refused_by_name(
    asker: Asker, place: str, name: str
) -> None:
    preparation = {"params": {name: 1}}
    entry = by_content(place, PICTURE if place == "pictures" else CLIP)
    with pytest.raises(Exception, match=f"{EXTRACTORS[place]} takes no '{name}'"):
        asker.ask([{**entry, "query_preprocessing": preparation}])


def test_a_picture_is_found_in_a_film_by_the_extractor_of_pictures(asker: Asker) -> None:
    """`feature_uri` says whose extractor cuts the query, where its vectors are alike."""
    from PIL import Image

    still = encode(Image.fromarray(FILMS[1][7 * FPS]), "PNG")
    preparation = {"feature_uri": URIS["pictures"], "aggregation": "max"}
    entry = by_content("films", still, query_preprocessing=preparation)
    best = asker.ask([entry])["documents"][0]
    assert best["_internal"]["chunk"]["of"] == "films-2"
    assert best["reference_start_ms"] <= 7000 <= best["reference_end_ms"]
    assert "query_start_ms" not in best
    wrong = {"feature_uri": URIS["tracks"]}
    with pytest.raises(Exception, match="cannot be compared"):
        asker.ask([by_content("films", CLIP, query_preprocessing=wrong)])


def test_each_leg_of_a_fusion_is_told_by_its_name(asker: Asker) -> None:
    answer = asker.ask([by_content("films", CLIP), by_content("tracks", CLIP)])
    found = {one["_internal"]["lineage"]["root_object_id"]: one for one in answer["documents"]}
    assert set(found["films-2"]["features"]) == {URIS["films"]}
    assert set(found["tracks-1"]["features"]) == {URIS["tracks"]}
    assert found["tracks-1"]["features"][URIS["tracks"]]["similarity"] > 0.8
    assert found["films-2"]["features"][URIS["films"]]["rank"] == 1


def test_legs_of_one_feature_each_keep_their_score(asker: Asker) -> None:
    other = encode(landscape(3), "PNG")
    answer = asker.ask([by_content("pictures", PICTURE), by_content("pictures", other)])
    for one in answer["documents"]:
        entry = one["features"][URIS["pictures"]]
        assert [leg["search"] for leg in entry["searches"]] == [0, 1]
        assert entry["score"] == max(leg["score"] for leg in entry["searches"])
        assert all({"score", "rank"} <= set(leg) for leg in entry["searches"])
    second, third = (
        next(one for one in answer["documents"] if one["document_id"] == name)
        for name in ("pictures-2", "pictures-3")
    )
    assert [leg["rank"] for leg in second["features"][URIS["pictures"]]["searches"]][0] == 1
    assert [leg["rank"] for leg in third["features"][URIS["pictures"]]["searches"]][1] == 1


def test_what_is_no_content_is_not_preprocessed_and_that_is_said(asker: Asker) -> None:
    query = {"input_mode": "vector", "value": "0" * 64}
    entry = {
        "feature_uri": URIS["pictures"],
        "query": query,
        "collection_identifiers": ["pictures"],
    }
    answer = asker.ask([{**entry, "query_preprocessing": {"max_chunks": 3}}])
    assert any("search 0 is no content" in warning for warning in answer["warnings"])
    assert not any("no content" in w for w in asker.ask([entry])["warnings"])
    assert "chunks_matched" not in answer["documents"][0]


def test_moments_of_chunks_that_nobody_named_a_parent_of(asker: Asker) -> None:
    """The stage's defaults, on documents as loading makes them."""
    entry = by_content("films", CLIP, query_preprocessing={"aggregation": "max"}, min_score=0.85)
    answer = asker.ask([entry], by={"final_top_k": 200}, then=(stage("moment_group"),))
    best = answer["documents"][0]
    assert best["_internal"]["chunk"]["of"] == "films-2"
    [moment] = best["moments"]
    assert (moment["start_ms"], moment["end_ms"]) == (0, pytest.approx(6000, abs=1000))
    assert moment["match_count"] >= 3
    assert len(moment["document_ids"]) >= 3
    places = stage("moment_group", time_field="_internal.place.start_ms")
    [moment] = asker.ask([entry], by={"final_top_k": 200}, then=(places,))["documents"][0][
        "moments"
    ]
    assert moment["start_ms"] == pytest.approx(4000, abs=1000)
    voted = asker.ask([by_content("films", CLIP)], then=(stage("moment_group"),))
    assert voted["documents"][0]["moments"][0]["end_ms"] == pytest.approx(6000, abs=1000)
    silent = asker.ask([by_content("pictures", PICTURE)], then=(stage("moment_group"),))
    assert silent["documents"][0]["moments"] == []
    assert any("moment_group: 3 of 3" in warning for warning in silent["warnings"])
