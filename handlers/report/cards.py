"""One card for each file: its verdict, what was found side by side, then what was not."""

from collections.abc import Iterator, Sequence

from core.types import JsonObject
from handlers.report.cells import (
    found_cell,
    quiet_cell,
    reason_lines,
    skipped_cells,
)
from handlers.report.drawings import sign
from handlers.report.markup import Child, Html, element, shown
from handlers.report.sources import FOUND, Sources
from handlers.report.thumbnails import ShowsFiles
from handlers.report.words import file_facts, verdict_words


def cards(files: Sequence[JsonObject], sources: Sources) -> Iterator[Html]:
    """Yield a card for each file, in their order; links lead to `#file-1` and so on."""
    for n, file in enumerate(files, 1):
        yield _card(n, file, sources)


def _card(n: int, file: JsonObject, sources: Sources) -> Html:
    words = verdict_words(file["verdict"], sources.deciding_kinds([file]))
    cells = file["retrievers"]
    found = [(name, cell) for name, cell in cells.items() if cell["verdict"] in FOUND]
    rest = [(name, cell) for name, cell in cells.items() if cell["verdict"] not in FOUND]
    skipped = [one for one in rest if one[1]["verdict"] == "not_applicable"]
    quiet = [one for one in rest if one[1]["verdict"] != "not_applicable"]
    head = element(
        "div",
        sign(file["verdict"]),
        element(
            "div",
            element("p", f"{n}. {words.title}", class_="word"),
            element("h3", shown(file["file"])),
            element("p", *_facts_line(file), class_="dim"),
        ),
        None if found else _thumbnail(file, sources.gallery),
        class_="head",
    )
    # What was found is shown below: the rule's own words say nothing more.
    meaning = words.advice if found else f"{words.meaning} {words.advice}"
    parts: list[Child] = [head, element("p", meaning, class_="meaning")]
    if found and not file["complete"]:
        said = "Beside that, not everything could be checked: see below."
        parts.append(element("p", said, class_="meaning"))
    if not cells:
        parts += reason_lines(file["reasons"])
    parts += [found_cell(name, cell, file, sources) for name, cell in found]
    lines = [quiet_cell(*one, sources) for one in quiet]
    if skipped:
        lines.append(skipped_cells(skipped))
    if lines:
        parts.append(element("ul", *lines, class_="cells"))
    return element("article", *parts, class_=f"card {file['verdict']}", id=f"file-{n}")


def _facts_line(file: JsonObject) -> list[Child]:
    facts: list[Child] = [", ".join(file_facts(file)) or "nothing is known of it"]
    if file.get("duplicate_of") is not None:
        facts.append(f"; the same content as file {file['duplicate_of'] + 1} of its scan")
    if file.get("sha256"):
        code = element("code", shown(file["sha256"], 80))
        facts.append(element("span", "SHA-256 ", code, class_="hash"))
    return facts


def _thumbnail(file: JsonObject, gallery: ShowsFiles | None) -> Html | None:
    preview = None if gallery is None else gallery.of_file(file)
    if preview is None or preview.source is None:
        return None
    return element(
        "img",
        src=preview.source,
        alt=f"Scanned file: {shown(file['file'], 120)}",
        width=str(preview.width),
        height=str(preview.height),
        class_="thumb",
    )
