"""Several vectors of one document, such as the hashes of an image and of crops of it: each is
searched, and a document is as near as the nearest of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from core.hits import Evidence, Hit, SearchAnswer, SearchRequest
from core.runtime.searching import merge_hits


def view_requests(request: SearchRequest, views: Mapping[str, str]) -> dict[str, SearchRequest]:
    """Return, by view, the searches of the vectors stored beside the feature's own: `views` are
    the names of those that any document has."""
    if not request.views:
        return {}
    return {view: replace(request, feature_uri=name, views=False) for view, name in views.items()}


def merge_views(
    own: Sequence[SearchAnswer], views: Mapping[str, Sequence[SearchAnswer]], k: int
) -> list[SearchAnswer]:
    """Return one answer for each vector of the query: the k nearest documents by any of theirs.

    The k nearest by one of several vectors are among the k nearest by each of them.
    """
    answers = []
    for position, answer in enumerate(own):
        others = {view: found[position] for view, found in views.items()}
        runs = [answer.hits[0]]
        runs += [
            tuple(replace(hit, view=view) for hit in other.hits[0])
            for view, other in others.items()
        ]
        parts = [answer, *others.values()]
        floors = [part.floor for part in parts if part.floor is not None]
        merged = SearchAnswer(
            hits=(_nearest_of_each(runs, k),),
            evidence=evidence_of_same_rows([part.evidence for part in parts]),
            floor=max(floors, default=None),
        )
        answers.append(merged)
    return answers


def evidence_of_same_rows(parts: Sequence[Evidence]) -> Evidence:
    """Combine searches that compared the same rows, such as a query's chunks: counted once."""
    scores = [part.best_score for part in parts if part.best_score is not None]
    return Evidence(
        compared=max((part.compared for part in parts), default=0),
        best_score=max(scores, default=None),
        exact=all(part.exact for part in parts),
    )


def _nearest_of_each(runs: Sequence[Sequence[Hit]], k: int) -> tuple[Hit, ...]:
    """Return the k best documents; of equal scores of one document that of the first run."""
    best: dict[tuple[str, str], Hit] = {}
    for hit in (hit for run in runs for hit in run):
        key = (hit.document_id, hit.source.collection_id)
        if key not in best or hit.score > best[key].score:
            best[key] = hit
    # Two lists, for one alone is taken to be in order.
    return tuple(merge_hits([list(best.values()), []], k))
