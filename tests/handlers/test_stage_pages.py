"""The page of stages is what the code says, and tells a change."""

from pathlib import Path

import pytest

from core.registry import stage_names
from handlers.stage_pages import main, render_page
from tests.imports import ROOT


def test_the_page_is_what_the_code_says() -> None:
    assert main(["--check", str(ROOT / "docs" / "stages.md")]) == 0


def test_every_stage_has_its_section() -> None:
    page = render_page()
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        *(f"## {name}" for name in sorted(stage_names())),
        "## Filter operators",
    ]
    assert "| `final_top_k` | integer, ≥ 1, ≤ 5000 | `25` |" in page


def test_a_stale_page_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "stages.md"
    assert main(["--check", str(page)]) == 1
    assert main(["--write", str(page)]) == 0
    assert main(["--check", str(page)]) == 0
    page.write_text(page.read_text() + "more")
    assert main(["--check", str(page)]) == 1
    assert "--write" in capsys.readouterr().err
