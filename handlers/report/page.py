"""The report of a scan as one HTML page: it needs no network, no script, and nothing beside it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from core.types import JsonObject
from handlers.report.cards import cards
from handlers.report.cells import canary_words
from handlers.report.context import NO_CONTEXT, Context
from handlers.report.drawings import sign
from handlers.report.markup import Child, Html, element, join, shown
from handlers.report.match import match_of
from handlers.report.sources import FOUND, Sources
from handlers.report.thumbnails import ShowsFiles
from handlers.report.words import (
    VERDICTS,
    WORST_FIRST,
    counted,
    match_words,
    reason_message,
    reason_words,
    size,
    telling_reasons,
    verdict_words,
)

MAX_BYTES: Final = 10_000_000
# Nothing is fetched and no script runs, whatever a file's name may hold.
POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
_STYLE: Final = Path(__file__).with_name("style.css")
_MAX_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Report:
    """What a page is made of: `scans` are the answers' envelopes, `files` their files with the
    name of each as `file`, `made_at` an RFC 3339 time."""

    files: Sequence[JsonObject]
    retrievers: Sequence[JsonObject]
    scans: Sequence[JsonObject] = ()
    made_at: str = ""
    context: Context = field(default=NO_CONTEXT)

    @property
    def pictures(self) -> int:
        """How many pictures it has at most."""
        found = sum(
            cell["verdict"] in FOUND for file in self.files for cell in file["retrievers"].values()
        )
        return len(self.files) + 2 * found


def render(report: Report, gallery: ShowsFiles | None = None) -> str:
    """Return the page; without pictures if there is no gallery, or it would be too large."""
    page = _page(report, gallery)
    if gallery is not None and len(page.encode()) > MAX_BYTES:
        page = _page(report, None)
    return page


def _page(report: Report, gallery: ShowsFiles | None) -> str:
    retrievers = {one["retriever_name"]: one for one in report.retrievers}
    sources = Sources(report.context, retrievers, gallery)
    title = f"Scan report: {counted(len(report.files), 'file')}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Html(_STYLE.read_text("utf-8"))),
    )
    body = element(
        "body",
        element("a", "To the files", href="#files", class_="skip"),
        _top(report, sources),
        element(
            "main",
            _overview(report),
            _unchecked(report),
            _compared(report),
            _reading(sources),
            element("section", element("h2", "Files"), *cards(report.files, sources), id="files"),
        ),
        _bottom(report),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en").text + "\n"


def _top(report: Report, sources: Sources) -> Html:
    worst = next(
        (w for w in WORST_FIRST if any(f["verdict"] == w for f in report.files)), "unknown"
    )
    alike = [file for file in report.files if file["verdict"] == worst]
    words = verdict_words(worst, sources.deciding_kinds(alike))
    counts = Counter(file["verdict"] for file in report.files)
    tiles = (
        element(
            "li",
            sign(word),
            element("span", str(counts[word]), class_="count"),
            element("span", VERDICTS[word].title, class_="label"),
            class_=f"tile {word}" + (" none" if not counts[word] else ""),
        )
        for word in WORST_FIRST
    )
    return element(
        "header",
        element("p", "Trawl", class_="brand"),
        element("h1", "Scan report"),
        element(
            "div",
            sign(worst),
            element(
                "div",
                element("p", "Worst verdict", class_="role"),
                element("p", words.title, class_="word"),
                element("p", f"{counts[worst]} of {counted(len(report.files), 'file')}."),
                element("p", f"{words.meaning} {words.advice}"),
            ),
            class_=f"worst {worst}",
        ),
        element("ul", *tiles, class_="tiles"),
        element("dl", *_about(report), class_="facts about"),
    )


def _about(report: Report) -> Iterator[Html]:
    known = [file["size_bytes"] for file in report.files if file.get("size_bytes")]
    scanned = f"{counted(len(report.files), 'file')}, {size(sum(known))}"
    times = [str(scan["created_at"]) for scan in report.scans if scan.get("created_at")]
    whole = all(file["complete"] for file in report.files)
    rows: list[tuple[str, str]] = [
        ("Scanned", scanned),
        ("With", counted(len(report.retrievers), "retriever")),
        ("When", ", ".join(map(_moment, times)) or "not known"),
        ("Report made", _moment(report.made_at)),
        ("Everything checked", "yes" if whole else "no: see “What could not be checked”"),
        ("Scan", ", ".join(shown(scan["scan_id"], 80) for scan in report.scans) or "none"),
    ]
    for term, said in rows:
        yield element("div", element("dt", term), element("dd", said))


def _moment(time: str) -> str:
    """Return an RFC 3339 time of UTC without its parts below seconds."""
    day, _, rest = shown(time, 40).partition("T")
    return f"{day} {rest[:8]} UTC" if rest.endswith("Z") else shown(time, 40)


def _overview(report: Report) -> Html:
    # The worst first; among equals in the order in which they were named.
    ordered = sorted(enumerate(report.files, 1), key=lambda one: _rank(one[1]["verdict"]))
    rows = (
        element(
            "tr",
            element("td", sign(file["verdict"]), _title(file["verdict"]), class_="verdict"),
            element("td", element("a", f"{n}. {shown(file['file'], 120)}", href=f"#file-{n}")),
            element("td", _found(file)),
        )
        for n, file in ordered
    )
    titles = (element("th", text, scope="col") for text in ("Verdict", "File", "What was found"))
    return element(
        "section",
        element("h2", "At a glance"),
        element("table", element("thead", element("tr", *titles)), element("tbody", *rows)),
    )


def _title(word: str) -> Html:
    return element("span", verdict_words(word).title)


def _rank(word: str) -> int:
    return WORST_FIRST.index(word) if word in WORST_FIRST else 0


def _found(file: JsonObject) -> str:
    """Return what decides: the nearest reference and how near, or why nothing can be said."""
    if file["verdict"] not in (*FOUND, "clear"):
        telling = telling_reasons(file["reasons"])
        return reason_words(telling[0]["code"]) if telling else "–"
    matches = [
        match
        for cell in file["retrievers"].values()
        if cell["verdict"] == file["verdict"] and (match := match_of(cell)) is not None
    ]
    best = max(matches, key=lambda match: match.score, default=None)
    if best is None:
        return "nothing near"
    far = f"score {best.score:.3g}"
    if best.distance is not None:
        far = f"{best.distance} {shown(best.unit, 20)} away"
    named = f"{shown(best.name, 120)} ({far})"
    return named if file["verdict"] in FOUND else f"nothing near; the nearest is {named}"


def _unchecked(report: Report) -> Html:
    files: dict[tuple[str, str], dict[str, None]] = {}
    for file in report.files:
        for reason in telling_reasons(file["reasons"]):
            key = reason_words(reason["code"]), shown(reason_message(reason))
            files.setdefault(key, {})[shown(file["file"], 120)] = None
    if not files:
        said = "Nothing: every file was compared completely by every retriever that takes it."
        body: list[Child] = [element("p", said)]
    else:
        items = (
            element(
                "li",
                element("p", words, class_="reason"),
                element("p", message),
                element("p", _named(list(names)), class_="name"),
            )
            for (words, message), names in files.items()
        )
        body = [element("ul", *items, class_="reasons")]
    return element("section", element("h2", "What could not be checked"), *body)


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _compared(report: Report) -> Html:
    cards = (_retriever(one, report) for one in report.retrievers)
    return element(
        "section",
        element("h2", "What it was compared with"),
        element("div", *cards, class_="retrievers"),
    )


def _retriever(retriever: JsonObject, report: Report) -> Html:
    name = retriever["retriever_name"]
    cells = [
        cell for file in report.files for key, cell in file["retrievers"].items() if key == name
    ]
    kinds = ", ".join(shown(kind, 20) for kind in retriever.get("takes") or ()) or "not known"
    rows: list[tuple[str, Child]] = [
        ("Id", f"{shown(retriever['retriever_id'], 80)}, version {retriever['version']}"),
        ("Takes", kinds),
        *_collections(retriever, cells, report.context),
        *_thresholds(retriever, report.context),
        ("Control search", canary_words(retriever.get("canary"))),
    ]
    terms = (element("div", element("dt", term), element("dd", said)) for term, said in rows)
    return element(
        "article", element("h3", shown(name, 100)), element("dl", *terms, class_="facts")
    )


def _collections(
    retriever: JsonObject, cells: Sequence[JsonObject], context: Context
) -> Iterator[tuple[str, Child]]:
    evidence = [cell["evidence"] for cell in cells if cell.get("evidence")]
    for collection_id in retriever["collection_ids"]:
        versions = sorted(
            {
                one["snapshots"][collection_id]
                for one in evidence
                if collection_id in (one.get("snapshots") or {})
            }
        )
        said = ", ".join(map(str, versions)) or "not known"
        named = shown(context.collection_name(collection_id), 100)
        yield "Collection", f"{named}, snapshot version {said} ({shown(collection_id, 80)})"
    compared = sorted({one["compared"] for one in evidence if one.get("compared")})
    if compared:
        most = f"{compared[-1]:,} reference entries"
        few = f" ({compared[0]:,} at least)" if compared[0] != compared[-1] else ""
        recordings = set(retriever.get("takes") or ()) != {"image"}
        note = ". A recording has an entry for each of its moments" if recordings else ""
        yield "Compared", f"{most}{few}{note}"


def _thresholds(retriever: JsonObject, context: Context) -> Iterator[tuple[str, Child]]:
    if not retriever.get("thresholds"):
        yield "Thresholds", "none: what this retriever finds cannot be judged"
        return
    yield "Thresholds from", context.rule_source(retriever)
    for uri, scale in (retriever.get("thresholds") or {}).items():
        feature = context.feature(uri)
        block_at, review_at = scale["block_at"], scale["review_at"]
        said = f"match from score {block_at:.4g}, possible match from {review_at:.4g}"
        measure = feature.measure
        if measure is not None:
            near, far = measure.distance(block_at), measure.distance(review_at)
            said = (
                f"match up to {near} {shown(measure.whole, 40)}, possible match up to {far} "
                f"(scores {block_at:.4g}, {review_at:.4g})"
            )
        yield shown(feature.extractor, 60), said
        if feature.description:
            yield "Finds", shown(feature.description)


def _reading(sources: Sources) -> Html:
    kinds = sources.kinds(sources.retrievers)
    legend = {word: verdict_words(word, kinds) for word in WORST_FIRST}
    terms = (
        element(
            "div",
            element("dt", sign(word), words.title),
            element("dd", f"{words.meaning} {words.advice}"),
        )
        for word, words in legend.items()
    )
    return element(
        "section",
        element("h2", "How to read it"),
        element("dl", *terms, class_="legend"),
        element(
            "p",
            f"A file takes the worst of its verdicts. {match_words(kinds)} None says who owns a "
            "file, or who may use it. That nothing was found is said of the references named "
            "above, and of no others: an alteration that what is compared does not survive is not "
            "found.",
        ),
        class_="reading",
    )


def _bottom(report: Report) -> Html:
    try:
        made_by = f"Trawl {version('trawl-retriever')}"
    except PackageNotFoundError:
        made_by = "Trawl"
    return element(
        "footer",
        element(
            "p",
            join(f"Made by {made_by}, {_moment(report.made_at)}. "),
            "Pictures of local files were made for this page; each file is known by its SHA-256. "
            "The page holds all of it: it loads nothing and runs no script.",
        ),
    )
