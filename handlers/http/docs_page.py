"""A page to read and try the API with: one file, no script or style from anywhere else."""

import re
from html import escape
from importlib.resources import files
from typing import Final

import orjson

from core.types import JsonObject

# Nothing but this page's own script and style runs, and it speaks only to its own origin.
DOCS_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def build_page(document: JsonObject) -> str:
    """Return the page for an OpenAPI document; everything from it is escaped."""
    template = files("handlers.http").joinpath("docs_page.html").read_text(encoding="utf-8")
    info = document["info"]
    # `<` as an escape within JSON: no text of the document can end the script element.
    data = orjson.dumps(document).decode().replace("<", "\\u003c")
    page = template.replace("{{title}}", escape(info["title"]))
    described = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(info["description"]))
    page = page.replace("{{description}}", described)
    return page.replace("{{document}}", data)
