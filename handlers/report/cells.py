"""One retriever's answer on one file: side by side where it found something, a line where not."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from core.types import JsonObject
from handlers.report.drawings import boxed, distance_scale, sign, timeline
from handlers.report.markup import Child, Html, element, join, shown
from handlers.report.match import Box, Match, match_of, other_documents
from handlers.report.sources import FOUND, Sources
from handlers.report.thumbnails import Shown, ShowsFiles
from handlers.report.words import (
    distance_words,
    file_facts,
    reason_message,
    reason_words,
    span,
    telling_reasons,
    variant,
    verdict_words,
)

_MAX_REASONS: Final = 8


def found_cell(name: str, cell: JsonObject, file: JsonObject, sources: Sources) -> Html:
    """Return a cell that found something: both files, how near they are, where, and the proof."""
    match = match_of(cell)
    words = verdict_words(cell["verdict"])
    heading = element(
        "h4",
        sign(cell["verdict"]),
        element("span", words.title, class_="word"),
        element("span", " by ", shown(name, 100), class_="by"),
    )
    if match is None:
        return _section(heading, _facts(cell, None, name, sources))
    ours, theirs = _previews(file, match, sources.gallery)
    return _section(
        heading,
        element(
            "div",
            _figure("Scanned file", file["file"], file, ours, match.box),
            _figure("Reference", match.name, match.facts, theirs, match.reference_box),
            class_="pair" if ours.source or theirs.source else "pair low",
        ),
        _timelines(file, match, ours, theirs),
        _nearness(match, name, sources),
        _facts(cell, match, name, sources),
    )


def quiet_cell(name: str, cell: JsonObject, sources: Sources) -> Html:
    """Return a cell that found nothing, or could not say."""
    words = verdict_words(cell["verdict"])
    match = match_of(cell)
    head = element(
        "p",
        sign(cell["verdict"]),
        element("strong", words.title),
        element("span", " by ", shown(name, 100), class_="by"),
        class_="line",
    )
    return element(
        "li",
        head,
        *reason_lines(cell["reasons"]),
        _facts(cell, match, name, sources),
        class_="cell",
    )


def skipped_cells(cells: Sequence[tuple[str, JsonObject]]) -> Html:
    """Return one line for all retrievers that there was nothing to look for with, and why."""
    said = []
    for name, cell in cells:
        why = "; ".join(shown(reason_message(one)) for one in cell["reasons"])
        said.append(why if why.startswith(name) else f"{shown(name, 100)}: {why or 'skipped'}")
    head = element(
        "p",
        sign("not_applicable"),
        element("strong", verdict_words("not_applicable").title),
        element("span", "; ".join(said), class_="by"),
        class_="line",
    )
    return element("li", head, class_="cell")


def reason_lines(reasons: Sequence[JsonObject]) -> list[Html]:
    """Return why something is not known, in words and in the service's own."""
    telling = telling_reasons(reasons)
    said = [
        element(
            "p",
            element("strong", reason_words(one["code"]), ": "),
            shown(reason_message(one)),
            class_="reason",
        )
        for one in telling[:_MAX_REASONS]
    ]
    if len(telling) > _MAX_REASONS:
        said.append(element("p", f"and {len(telling) - _MAX_REASONS} more", class_="reason"))
    return said


def _section(heading: Html, *parts: Child) -> Html:
    return element("section", heading, *parts, class_="found")


def _previews(file: JsonObject, match: Match, gallery: ShowsFiles | None) -> tuple[Shown, Shown]:
    if gallery is None:
        left_out = Shown(why="not shown: this report is without pictures")
        return left_out, left_out
    moment = match.moment
    at_ms = None if moment is None else sum(moment.query) // 2
    there_ms = None
    if moment is not None and moment.reference is not None:
        there_ms = sum(moment.reference) // 2
    return gallery.of_file(file, at_ms), gallery.of_reference(match, there_ms)


def _figure(role: str, name: str, facts: JsonObject, preview: Shown, box: Box | None) -> Html:
    if preview.source is not None:
        image = element(
            "img",
            src=preview.source,
            alt=f"{role}: {shown(name, 120)}",
            width=str(preview.width),
            height=str(preview.height),
        )
        size = facts.get("width"), facts.get("height")
        picture = boxed(image, box, size, (preview.width, preview.height))
    else:
        sound = preview.why is None
        text = "sound: see the waveform below" if sound else preview.why
        picture = element("p", text, class_="placeholder")
    caption = element(
        "figcaption",
        element("span", role, class_="role"),
        element("span", shown(name), class_="name"),
        element("span", ", ".join(file_facts(facts)), class_="dim"),
    )
    return element("figure", element("div", picture, class_="frame"), caption)


def _timelines(file: JsonObject, match: Match, ours: Shown, theirs: Shown) -> Html | None:
    moment = match.moment
    if moment is None:
        return None
    lengths = ours.duration_ms or file.get("duration_ms"), theirs.duration_ms
    there = lengths[1] or match.facts.get("duration_ms")
    parts: list[Child] = [element("h5", "Where the two are the same")]
    if lengths[0]:
        pieces = moment.pieces
        title = "Scanned file"
        drawn = timeline(
            round(lengths[0]), moment.query, title=title, pieces=pieces, loudness=ours.loudness
        )
        parts += [_label(title, moment.query), drawn]
    if there and moment.reference is not None:
        title = "Reference"
        drawn = timeline(round(there), moment.reference, title=title, loudness=theirs.loudness)
        parts += [_label(title, moment.reference), drawn]
    return element("div", *parts, class_="times")


def _label(title: str, places: tuple[int, int]) -> Html:
    return element("p", element("strong", title), f": {span(*places)}", class_="label")


def _nearness(match: Match, name: str, sources: Sources) -> Html:
    feature = sources.context.feature(match.feature)
    rule = _rule(match.feature, name, sources)
    measure = feature.measure
    parts: list[Child] = [element("h5", "How near they are")]
    if measure is not None and match.distance is not None and rule is not None:
        block_at, review_at = (measure.distance(score) for score in rule)
        unit = shown(measure.unit, 20)
        said = (
            f"Distance {match.distance} {shown(measure.whole, 40)}: {distance_words(measure)} "
            f"Up to {block_at} is a match, up to {review_at} a possible match."
        )
        parts.append(element("p", said))
        parts.append(distance_scale(match.distance, block_at, review_at, unit))
    elif rule is not None:
        said = f"Score {match.score:.4g}: from {rule[0]:.4g} a match, from {rule[1]:.4g} possible."
        parts.append(element("p", said))
    else:
        parts.append(element("p", f"Score {match.score:.4g}."))
    if match.verified_by is not None:
        said = (
            f"That is too far by itself. {match.verified_by} places of both pictures agree on how "
            "the one lies in the other: a possible match."
        )
        parts.append(element("p", said))
    return element("div", *parts, class_="near")


def _rule(feature: str, name: str, sources: Sources) -> tuple[float, float] | None:
    scales = (sources.retrievers.get(name) or {}).get("thresholds") or {}
    scale = scales.get(feature)
    return None if scale is None else (float(scale["block_at"]), float(scale["review_at"]))


def _facts(cell: JsonObject, match: Match | None, name: str, sources: Sources) -> Html:
    """Return what the verdict rests on, as a list of terms."""
    rows = [*_match_rows(cell, match, name, sources), *_proof_rows(cell, name, sources)]
    terms = (
        element("div", element("dt", term), element("dd", said)) for term, said in rows if said
    )
    return element("dl", *terms, class_="facts")


def _match_rows(
    cell: JsonObject, match: Match | None, name: str, sources: Sources
) -> Iterator[tuple[str, Child]]:
    if match is None:
        return
    if cell["verdict"] not in FOUND:
        near = _nearest(match)
        yield "Nearest reference", f"{near}: not near" if cell["verdict"] == "clear" else near
        return
    yield "Reference", join(shown(match.document_id, 80), *_hash(match.sha256))
    # The scores of votes and of places that agree have no such end.
    most = "" if match.distance is None else " (1 is the same)"
    yield "Score", f"{match.score:.4g}{most}, by {shown(match.feature, 100)}"
    if match.agreeing is not None and match.agreeing[1] > 1:
        yield "Pieces that agree", f"{match.agreeing[0]} of the {match.agreeing[1]} compared"
    if match.box is not None:
        yield "Part of the file", _box_words(match.box)
    if match.reference_box is not None:
        yield "Part of the reference", _box_words(match.reference_box)
    turned = variant(match.variant)
    if turned is not None:
        yield "How", turned
    others = list(_others(cell, match, _rule(match.feature, name, sources)))
    if others:
        yield "Further references near", "; ".join(others[:5])


def _box_words(box: Box) -> str:
    return "left {:g}, top {:g}, right {:g}, bottom {:g} px; framed in the picture".format(*box)


def _nearest(match: Match) -> str:
    if match.distance is None:
        return f"{shown(match.name, 120)}, score {match.score:.4g}"
    return f"{shown(match.name, 120)}, {match.distance} {shown(match.unit, 20)} away"


def _others(cell: JsonObject, match: Match, rule: tuple[float, float] | None) -> Iterator[str]:
    """Yield the other documents that are near too, with their scores."""
    for document in other_documents(cell, match):
        hit = (document.get("features") or {}).get(match.feature) or {}
        score = hit.get("similarity", hit.get("score"))
        if rule is None or not isinstance(score, int | float) or score < rule[1]:
            continue
        name = document.get("path") or document.get("filename") or document.get("document_id")
        yield f"{shown(name, 100)} (score {score:.4g})"


def _hash(sha256: str | None) -> list[Child]:
    if sha256 is None:
        return []
    return [element("span", "SHA-256 ", element("code", shown(sha256, 80)), class_="dim hash")]


def _proof_rows(cell: JsonObject, name: str, sources: Sources) -> Iterator[tuple[str, Child]]:
    retriever = sources.retrievers.get(name) or {}
    evidence = cell.get("evidence") or {}
    snapshots = evidence.get("snapshots") or {}
    if evidence:
        places = ", ".join(
            f"{shown(sources.context.collection_name(key), 80)} at version {version}"
            for key, version in snapshots.items()
        )
        entries = f"{evidence.get('compared') or 0:,}"
        yield "Compared with", f"{entries} reference entries" + (f" of {places}" if places else "")
        yield "Search", _exactness(evidence)
        for verification in _verifications(evidence):
            yield "Verified by places", verification
    if cell["verdict"] in FOUND:
        yield "Thresholds from", sources.context.rule_source(retriever) if retriever else None
        yield "Not checked", _unchecked(cell)
    if retriever.get("canary"):
        yield "Control search", canary_words(retriever["canary"])
    if cell.get("execution_id"):
        version = cell.get("retriever_version")
        yield "Execution", f"{shown(cell['execution_id'], 80)}, retriever version {version}"


def _verifications(evidence: JsonObject) -> Iterator[str]:
    """Yield what was compared of pictures beyond their fingerprints, by feature."""
    for found in (evidence.get("features") or {}).values():
        account = found.get("verification")
        if account is None:
            continue
        yield (
            f"of {account['checked']} references that are not near but within reach, "
            f"{account['verified']} have places that agree; {account['without_places']} have none "
            f"to compare, {account['unchecked']} farther ones were not looked at"
        )


def _exactness(evidence: JsonObject) -> str:
    if not evidence.get("compared"):
        return "nothing was compared"
    if evidence.get("exact"):
        return "exact: every entry was compared"
    return "approximate: not proven that no nearer entry was passed over"


def _unchecked(cell: JsonObject) -> str | None:
    telling = telling_reasons(cell["reasons"])
    messages = [shown(reason_message(reason)) for reason in telling[:_MAX_REASONS]]
    return "; ".join(messages) or None


def canary_words(canary: Any) -> str:
    """Say whether the reference that every scan looks for was found."""
    if not canary:
        return "none: this retriever names no reference that every scan must find again"
    if canary.get("found"):
        return f"passed: {shown(canary['document_id'], 80)} was looked for and found"
    reason = (canary.get("reason") or {}).get("message") or "it was not found"
    return f"NOT PASSED: {shown(reason)}"
