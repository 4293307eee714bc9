"""What extractors find again of altered copies, and what they take for a copy by mistake:
`python -m benchmarks.media_quality [image.pdq] [audio.chromaprint] [video.vpdq] [face.dlib]
[logo.sift]`.

Real files out of pinned packages. References are stored as any document is, altered copies are
searched with by a batch of the usual retriever, and judged as a scan judges them, by the
extractors' own thresholds, which were set on other data.
"""

import asyncio
import base64
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks import media_alterations as ways
from benchmarks.face_corpora import fetch_faces
from benchmarks.face_quality import face_queries, references
from benchmarks.logo_corpora import logo_files, logo_free
from benchmarks.logo_quality import logo_pictures
from benchmarks.look_alikes import WAY, look_alikes
from benchmarks.media_corpora import Corpora, fetch
from benchmarks.service import opened
from core.app import App
from core.deadline import NEVER
from core.media.extractor_info import ExtractorInfo
from core.media.extractors import find_extractor
from core.models.base import parse_model
from core.models.collections import CollectionCreate
from core.models.documents import UpsertRequest
from core.models.execution import BatchRequest
from core.models.namespaces import Namespace, StandaloneNamespaceCreate
from core.models.retriever import RetrieverCreate
from core.scan.thresholds import Thresholds, own_measures, thresholds_of
from core.scan.verdicts import judge, level_of
from handlers.recordings import RATE, samples_of
from handlers.wheels import RealFile

T = TypeVar("T")

_EXCERPT_SECONDS: Final = 10.0
_EXCERPTS: Final = (0.13, 0.37, 0.61, 0.83)  # where they begin, as a share of the track
_BATCH: Final = 20
_ALLOWED: Final = {"TRAWL_FACES": "allowed"}
# Scores without a distance mean what the retriever says: these are the extractor's documented ones.
_RULES: Final = {"logo.sift": {"verdict": {"block_at": 0.5, "review_at": 0.42}}}
# How far the seconds that a match names may be from the true ones. Frames are a second apart.
_RIGHT_SECONDS: Final = {"audio": 0.5, "video": 1.0}


@dataclass(frozen=True, slots=True)
class Query:
    """A file to search with: altered in a way, from second `start` of the file `source`."""

    way: str
    source: RealFile
    data: bytes = field(repr=False)
    start: float | None = None


@dataclass(slots=True)
class Tally:
    """What came of one way of altering, over all its queries."""

    queries: int = 0
    match: int = 0
    review: int = 0  # matches too
    right_seconds: int | None = None  # of those in review
    first: int = 0  # the right file stands first, however far away, and at the right seconds
    stranger_queries: int = 0
    false_match: int = 0
    false_review: int = 0
    pairs: int = 0
    closest: float | None = None  # the nearest stranger, in the extractor's unit

    def to_json(self) -> dict[str, Any]:
        """Return the counts and their rates."""
        body: dict[str, Any] = {
            "queries": self.queries,
            "match": self._share(self.match),
            "review": self._share(self.review),
        }
        if self.right_seconds is not None:
            body["right_seconds"] = self._share(self.right_seconds)
        return {
            **body,
            "first": self._share(self.first),
            "stranger_queries": self.stranger_queries,
            "stranger_pairs": self.pairs,
            "false_match": self.false_match,
            "false_review": self.false_review,
            "closest_stranger": self.closest,
        }

    def _share(self, count: int) -> float | None:
        return round(count / self.queries, 3) if self.queries else None


def main() -> None:
    """Measure the extractors that are named, or all, and print what came out."""
    corpora = fetch()
    known: dict[str, Callable[[Corpora], Iterator[Query]]] = {
        "image.pdq@v1": _picture_queries,
        "image.pdq@v2": _picture_queries,
        "image.pdq@v2 verify": _picture_queries,
        "audio.chromaprint@v1": _sound_queries,
        "video.vpdq@v1": _film_queries,
    }
    asked = sys.argv[1:]
    names = [name for name in known if not asked or name.partition("@")[0] in asked]
    answer: dict[str, dict[str, Any]] = {}
    for make, of_same in groupby(names, key=lambda name: known[name]):
        answer |= measure(list(of_same), corpora, make(corpora))
    if "face.dlib" in asked or not asked:
        faces = fetch_faces()
        people = Corpora(pictures=references(faces), tracks=[], films=[])
        made = (Query(each.way, each.source, each.data) for each in face_queries(faces))
        answer |= measure(["face.dlib@v1"], people, made)
    if "logo.sift" in asked or not asked:
        logos, photographs = logo_files("reported"), logo_free(corpora.pictures)
        shown = (Query(p.way, p.source, p.data) for p in logo_pictures(logos, photographs))
        answer |= measure(["logo.sift@v1"], Corpora(logos, tracks=[], films=[]), shown)
    print(json.dumps(answer))


def measure(
    references: Sequence[str], corpora: Corpora, queries: Iterable[Query]
) -> dict[str, dict[str, Any]]:
    """Return, by extractor version and alteration, what was found; print it as a table."""
    answer: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name, opened(Path(name), _ALLOWED) as app:
        body = {"namespace_name": "bench"}
        namespace = app.namespaces.create(parse_model(StandaloneNamespaceCreate, body))
        benches = [_Bench(app, namespace, *_extractor(one)) for one in references]
        for bench in benches:
            bench.store(corpora)
        started = time.perf_counter()
        for few in _batched(queries, _BATCH):
            for bench in benches:
                bench.search(few)
        seconds = time.perf_counter() - started
        for bench in benches:
            bench.print()
            answer[bench.label] = {w: t.to_json() for w, t in bench.tallies.items()}
        print(f"made and searched in {seconds:.0f} s\n")
    return answer


def _extractor(reference: str) -> tuple[ExtractorInfo, dict[str, Any]]:
    """Return the extractor and a collection's parameters: of `image.pdq@v2 verify`, that one."""
    name, _, parameter = reference.partition(" ")
    return find_extractor(name), {parameter: True} if parameter else {}


class _Bench:
    """One extractor's collection, its retriever, and what came of the queries so far."""

    def __init__(
        self, app: App, namespace: Namespace, info: ExtractorInfo, parameters: dict[str, Any]
    ) -> None:
        self.info = info
        self.label = " ".join([info.reference, *parameters])
        self.tallies: dict[str, Tally] = {}
        self._app, self._namespace = app, namespace
        self._kind = info.modalities[0]
        self._name = self.label.replace("@", "-").replace(".", "-").replace(" ", "-")
        self._stored: set[str] = set()
        extractor: dict[str, Any] = {
            "feature_extractor_name": info.name,
            "version": info.version,
            "parameters": parameters,
        }
        made = {"collection_name": self._name, "feature_extractor": extractor}
        app.collections.create(namespace.namespace_id, parse_model(CollectionCreate, made))
        self._thresholds = self._make_retriever()

    def _make_retriever(self) -> Thresholds:
        query = {"input_mode": "content", "value": "{{INPUT.file}}"}
        search = {"feature_uri": self.info.feature_uri, "query": query}
        parameters = {"searches": [search], "final_top_k": 25}
        stage = {"stage_id": "feature_search", "parameters": parameters}
        body: dict[str, Any] = {
            "retriever_name": self._name,
            "collection_identifiers": [self._name],
            "input_schema": {"file": {"type": self._kind, "required": True}},
            "stages": [{"stage_name": "nearest", "config": stage}],
            **_RULES.get(self.info.name, {}),
        }
        request = parse_model(RetrieverCreate, body)
        self._app.retrievers.create(self._namespace, request, check=self._app.engine.check)
        return thresholds_of(body, own_measures())

    def store(self, corpora: Corpora) -> None:
        """Store the references, and say what could not be."""
        files = {"image": corpora.pictures, "audio": corpora.tracks, "video": corpora.films}
        own = [file for file in files[self._kind] if file.role == "reference"]
        started, plain = time.perf_counter(), []
        for few in _batched(own, 4):
            documents = [
                {"document_id": f.name, "content": base64.b64encode(f.path.read_bytes()).decode()}
                for f in few
            ]
            body = {"collection_id": self._name, "documents": documents}
            request = parse_model(UpsertRequest, body)
            written = self._app.documents.upsert(self._namespace, request, deadline=NEVER)
            assert not written["failed"], written["failed"]
            plain += written["unsearchable_document_ids"]
            # A machine that is too busy reads a recording in part: then the figures are its own.
            for warning in written["warnings"]:
                print(f"  {warning}")
        self._stored = {file.name for file in own} - set(plain)
        print(
            f"{self.label}: {len(own)} references stored in "
            f"{time.perf_counter() - started:.0f} s"
            + (f"; too little detail to compare: {', '.join(plain)}" if plain else "")
        )

    def search(self, queries: Sequence[Query]) -> None:
        """Search with some files, and count what was found."""
        body = {
            "queries": [
                {"inputs": {"file": "data:;base64," + base64.b64encode(q.data).decode()}}
                for q in queries
            ],
            "settings": {"limit": 25},
        }
        request = parse_model(BatchRequest, body)
        answer = asyncio.run(
            self._app.engine.execute_batch(self._namespace, self._name, request, deadline=NEVER)
        )
        for query, result in zip(queries, answer["results"], strict=True):
            self._count(query, result)

    def _count(self, query: Query, result: Mapping[str, Any]) -> None:
        tally = self.tallies.setdefault(query.way, Tally())
        documents = result.get("documents") or []
        own = [one for one in documents if _root(one) == query.source.name]
        others = [one for one in documents if _root(one) != query.source.name]
        if query.source.name in self._stored:
            self._count_hit(tally, query, {**result, "documents": own})
            first = bool(documents) and _root(documents[0]) == query.source.name
            tally.first += first and self._is_right(query, documents[0])
        elif query.source.role == "stranger":
            tally.stranger_queries += 1
        tally.pairs += len(self._stored - {query.source.name})
        levels = [level_of(one, self._thresholds) for one in others]
        for one, level in zip(others, levels, strict=True):
            if level is not None:
                at = "" if query.start is None else f" from {query.start:.1f} s on"
                print(f"  {query.way}: {query.source.name}{at} taken for {_root(one)}, {level}")
        tally.false_match += levels.count("block")
        tally.false_review += levels.count("review")
        near = judge({**result, "documents": others}, self._thresholds).nearest
        if near is not None and near.distance is not None:
            tally.closest = min(near.distance, tally.closest or near.distance)

    def _count_hit(self, tally: Tally, query: Query, result: Mapping[str, Any]) -> None:
        verdict = judge(result, self._thresholds)
        tally.queries += 1
        tally.match += verdict.word == "block"
        tally.review += verdict.word in ("block", "review")
        if query.start is None:
            return
        tally.right_seconds = tally.right_seconds or 0
        if verdict.word in ("block", "review") and verdict.nearest is not None:
            tally.right_seconds += self._is_right(query, verdict.nearest.document)

    def _is_right(self, query: Query, found: Mapping[str, Any]) -> bool:
        """Say whether a recording was found at the seconds that the query is of."""
        if query.start is None:
            return True
        offset = (found["reference_start_ms"] - found["query_start_ms"]) / 1000
        return bool(abs(offset - query.start) <= _RIGHT_SECONDS[self._kind])

    def print(self) -> None:
        """Print what came out."""
        limits = self.info.thresholds
        print(
            f"\n{self.label}: {len(self._stored)} references; match up to "
            f"{limits.match:g} {limits.unit}, review up to {limits.review:g}"
        )
        titles = (
            "copies",
            "match",
            "review",
            "right s",
            "first",
            "pairs",
            "f.match",
            "f.review",
            "closest",
        )
        print(f"  {'':24}" + "".join(f"{title:>9}" for title in titles))
        for way, tally in self.tallies.items():
            body = tally.to_json()
            cells = (
                tally.queries,
                _rate(body["match"]),
                _rate(body["review"]),
                _rate(body.get("right_seconds")),
                _rate(body["first"]),
                tally.pairs,
                tally.false_match,
                tally.false_review,
                "-" if tally.closest is None else tally.closest,
            )
            print(f"  {way:24}" + "".join(f"{cell:>9}" for cell in cells))


def _batched(items: Iterable[T], most: int) -> Iterator[list[T]]:
    rest = iter(items)
    while few := list(islice(rest, most)):
        yield few


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _root(document: Mapping[str, Any]) -> str:
    """Return the id of the file that a document is of."""
    lineage = (document.get("_internal") or {}).get("lineage") or {}
    return str(lineage.get("root_object_id") or document["document_id"])


def _picture_queries(corpora: Corpora) -> Iterator[Query]:
    """Yield every picture altered in every way: of a reference, also a stranger to all others."""
    for file in corpora.pictures:
        image = ways.open_picture(file.path)
        for way in ways.PICTURES:
            yield Query(way, file, ways.alter_picture(file.name, image, way))
    for file in look_alikes():
        yield Query(WAY, file, file.path.read_bytes())


def _sound_queries(corpora: Corpora) -> Iterator[Query]:
    """Yield excerpts of every track, altered; music behind them is always a stranger's."""
    strangers = [track for track in corpora.tracks if track.role == "stranger"]
    behind = [samples_of(track.path)[20 * RATE :] for track in strangers]
    for n, track in enumerate(corpora.tracks):
        samples = samples_of(track.path)
        seconds = len(samples) / RATE
        other = behind[(n + (track in strangers)) % len(behind)]
        for share in _EXCERPTS:
            start = round(share * (seconds - _EXCERPT_SECONDS), 2)
            for way in ways.SOUNDS:
                data = ways.alter_sound(samples, start, _EXCERPT_SECONDS, other, way)
                yield Query(way, track, data, start)


def _film_queries(corpora: Corpora) -> Iterator[Query]:
    """Yield every film and clips of it, altered in every way."""
    import av

    for film in corpora.films:
        with av.open(film.path) as file:
            seconds = (file.duration or 0) / 1_000_000
        for way in ways.FILMS:
            for clip in ways.clips_of(film, seconds, way):
                yield Query(way, film, clip.data, clip.start)


if __name__ == "__main__":
    main()
