"""The table of routes: whole, loadable, and what the committed OpenAPI document says."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from handlers.http.docs_page import build_page
from handlers.http.openapi import build_document, main
from handlers.http.route import Route, RouteTable, load
from handlers.http.routes import ROUTES, TABLE
from handlers.http.statuses import MethodNotAllowedError, RouteNotFoundError

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_every_name_in_the_table_is_there(route: Route) -> None:
    assert callable(route.run())
    if route.body not in (None, "object"):
        assert route.body_model().model_json_schema()
    if route.answer is not None:
        assert load(route.answer).model_json_schema()


def test_operations_are_named_once() -> None:
    names = [route.operation_id for route in ROUTES]
    assert len(names) == len(set(names))


def test_a_fixed_part_wins_over_a_variable_one() -> None:
    def found(method: str, path: str) -> str:
        return TABLE.find(method, path)[0].operation_id

    assert found("GET", "/v1/retrievers/stages") == "list_stages"
    assert found("GET", "/v1/retrievers/other") == "get_retriever"
    assert found("POST", "/v1/retrievers/execute") == "execute_adhoc"
    assert found("GET", "/v1/collections/c/documents/count") == "count_documents"
    assert found("GET", "/v1/collections/c/documents/counted") == "get_document"
    assert found("GET", "/v1/health/") == "get_health"


def test_parts_of_a_path_are_decoded_once() -> None:
    _, values = TABLE.find("GET", "/v1/collections/a%20b/documents/x%2Fy%2525")
    assert values == {"collection": "a b", "document_id": "x/y%25"}


def test_what_is_not_there() -> None:
    table = RouteTable([Route("GET", "/a/{x}", "m:f", "")])
    with pytest.raises(RouteNotFoundError):
        table.find("GET", "/a/")
    with pytest.raises(RouteNotFoundError):
        table.find("GET", "/a/b/c")
    with pytest.raises(MethodNotAllowedError) as error:
        table.find("POST", "/a/b")
    assert error.value.details == {"allowed": ["GET"]}


def test_the_committed_document_is_the_codes() -> None:
    assert main(["--check", str(COMMITTED)]) == 0


def test_a_stale_document_is_noticed_and_renewed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "docs" / "openapi.json"
    assert main(["--check", str(path)]) == 1
    assert "--write" in capsys.readouterr().err
    assert main(["--write", str(path)]) == 0
    assert main(["--check", str(path)]) == 0


class _Scripts(HTMLParser):
    """Counts elements that could bring in code, and texts of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_loads_nothing_and_runs_nothing_that_the_document_says() -> None:
    document = build_document()
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    info = {"title": hostile, "description": f"`{hostile}` `a`", "version": "1"}
    parser = _Scripts()
    parser.feed(build_page({**document, "info": info, "x": hostile}))
    assert parser.tags.count("script") == 2
    assert "img" not in parser.tags
    assert parser.tags.count("code") == 2
    assert parser.sources == ["/v1/openapi.json"]
