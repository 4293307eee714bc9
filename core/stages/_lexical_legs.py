"""A search of feature_search by words: BM25 over all string fields, instead of vectors."""

from core.hits import TextRequest
from core.models.queries import SearchEntry
from core.rows.row import Source
from core.stage import StageContext
from core.stages._leg import Leg, add_evidence, name_of
from core.stages._query_vectors import invalid, is_empty, text_of
from core.stages._search_legs import hits_needed, leg_of, scope_of
from core.stages._search_params import FeatureSearchParams


async def lexical_leg(
    params: FeatureSearchParams, n: int, within: tuple[Source, ...] | None, ctx: StageContext
) -> Leg | None:
    """Run the n-th search; None if its query is empty and `on_empty` says to skip it.

    The feature only has to be one that the collections know, if they have vectors at all: all
    of their documents are searched. `min_score` is compared with BM25's own scores.
    """
    entry = params.searches[n]
    ctx.feature_spec(entry.feature_uri)
    text = _words_of(entry, f"searches.{n}.query")
    if text is None:
        ctx.report.warnings.append(f"search {n} was skipped: its query is empty")
        return None
    if not any(map(str.isalnum, text)):
        ctx.report.warnings.append(f"search {n} finds nothing: its query has no word in it")
    collection_ids, filter_ = scope_of(params, n, ctx)
    k = hits_needed(params, entry, (), ctx)
    answer = await ctx.text_search(TextRequest(collection_ids, text, k, filter_, within))
    add_evidence(ctx, name_of(entry), answer.evidence)
    return leg_of(params, entry, (), answer.hits)


def _words_of(entry: SearchEntry, path: str) -> str | None:
    value = text_of(entry.query)
    if is_empty("text", value):
        if entry.on_empty == "skip":
            return None
        raise invalid(path, "the query is empty; set on_empty to 'skip' to leave it out")
    if not isinstance(value, str):
        raise invalid(path, f"a lexical query takes a string, not {type(value).__name__}")
    return value
