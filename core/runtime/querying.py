"""One query's state while it runs, and its searches, merged with those of other queries."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from core.deadline import Deadline
from core.filtering.conditions import Filter, filter_key
from core.hits import SearchAnswer, SearchRequest
from core.runtime.environment import Environment
from core.runtime.searching import PreparedSearch
from core.types import JsonObject, ReadOnlyObject


@dataclass(slots=True)
class QueryRun:
    """One query's state while it runs. `searched` holds searches begun before its turn came."""

    environment: Environment
    collection_ids: tuple[str, ...]
    inputs: ReadOnlyObject
    scope: JsonObject
    filter: Filter | None
    max_chunks: int | None
    deadline: Deadline
    depth: int = 0
    searched: "list[tuple[SearchRequest, asyncio.Future[Sequence[SearchAnswer]]]]" = field(
        default_factory=list
    )


def join_search(
    query: QueryRun, request: SearchRequest
) -> "asyncio.Future[Sequence[SearchAnswer]]":
    """Return the search as it was begun before the query's turn, or begin it now."""
    for earlier, future in query.searched:
        if _same_search(earlier, request) and not future.cancelled():
            return future
    return submit_search(query, request, prepare_search(query, request))


def prepare_search(query: QueryRun, request: SearchRequest) -> PreparedSearch:
    """Return the search that a request means, on pinned snapshots.

    Raises `InvalidRequestError` for a vector that the collections do not have alike.
    """
    environment = query.environment
    feature = environment.feature(request.collection_ids, request.feature_uri)
    feature.comparable_spec()
    snapshots = environment.pin(request.collection_ids)
    return PreparedSearch(snapshots, feature.name, request.filter, request.within)


def submit_search(
    query: QueryRun, request: SearchRequest, search: PreparedSearch
) -> "asyncio.Future[Sequence[SearchAnswer]]":
    """Start a search, to be merged with others of the same index; one answer per vector."""
    searches = query.environment.services.searches
    return searches.submit(search, request.vectors, request.k, query.deadline)


def _same_search(left: SearchRequest, right: SearchRequest) -> bool:
    return (
        left.feature_uri == right.feature_uri
        and left.k == right.k
        and left.collection_ids == right.collection_ids
        and left.within == right.within
        and filter_key(left.filter) == filter_key(right.filter)
        and np.array_equal(left.vectors, right.vectors)
    )
