"""A scan's report from its answer to its file: what is asked of the service, shown, and written."""

from collections.abc import Sequence
from pathlib import Path

from core.app import build_previewer
from core.clock import utc_now
from handlers.client import Client
from handlers.loaded_places import LoadedPlaces
from handlers.loading import MAX_FILE_BYTES
from handlers.report.context import read_context
from handlers.report.page import Report, render
from handlers.report.references import References
from handlers.report.thumbnails import Gallery
from handlers.report.writing import write_report
from handlers.scanning import Reference
from handlers.scans import ScanReport


def make_report(
    client: Client,
    scanned: ScanReport,
    path: Path,
    *,
    references: Sequence[Path] = (),
    force: bool = False,
) -> None:
    """Write the report of what was scanned; `references` are folders that references lie in,
    beside those that they were loaded from on this machine.

    Raises `ClientError` if it cannot be written, or the service does not answer.
    """
    report = Report(
        # Whoever sends a page on sends on what stands in it.
        files=[{**file, "file": Reference(file["file"]).label} for file in scanned.files],
        retrievers=scanned.retrievers,
        scans=scanned.scans,
        made_at=utc_now(),
        context=read_context(client, scanned.retrievers),
    )
    at_hand = References(
        references,
        LoadedPlaces().find,
        lambda url: client.read_signed(url, most=MAX_FILE_BYTES),
    )
    previewer = build_previewer()
    try:
        gallery = Gallery(previewer, scanned.paths, at_hand, expected=report.pictures)
        page = render(report, gallery)
    finally:
        previewer.close()
    write_report(path, page, force=force)
