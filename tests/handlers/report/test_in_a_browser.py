"""The report in headless Chromium: light and dark, wide and narrow, printed; it asks no network."""

import base64
import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from handlers.report.page import POLICY, render
from handlers.report.thumbnails import Shown
from tests.browser import CHROMIUM, Browser, browser, open_page
from tests.handlers.report.answers import HOSTILE, Pictures, cell, file_of, match, report, retriever

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: make programs installs it"
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of hostile names, in every verdict, with pictures and waveforms."""
    out = io.BytesIO()
    Image.new("RGB", (320, 180), (40, 90, 160)).save(out, "JPEG")
    source = "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
    rng = random.Random(3)  # noqa: S311 - a drawing
    shown = Shown(source, 320, 180, tuple(rng.randrange(256) for _ in range(240)), 8000)
    cells = [
        lambda name: {"copies": cell("block", ("damaged", name), **match(name, moment=True))},
        lambda name: {"copies": cell("review", **match(name, distance=44))},
        lambda name: {"copies": cell("unknown", ("media_unreadable", name))},
        lambda name: {"copies": cell("clear"), "sounds": cell("not_applicable")},
    ]
    words = ("block", "review", "unknown", "clear")
    files = [file_of(name, words[n % 4], cells[n % 4](name)) for n, name in enumerate(HOSTILE * 2)]
    made = report(*files, retrievers=[retriever(), retriever("sounds", takes=["audio"])])
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(made, Pictures(shown)), "utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_keeps_to_itself(
    chromium: Browser, page: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    opened = open_page(chromium, page, width, scheme)
    assert opened.errors == []
    outside = [url for url in opened.requests if not url.startswith("data:")]
    assert outside == [page.as_uri()]
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    wide = """[...document.querySelectorAll("body *")].filter((one) => {
        const box = one.getBoundingClientRect();
        return box.width && !one.closest(".skip") && box.right > innerWidth + 1;
    }).map((one) => one.tagName + "." + one.className.toString())"""
    assert opened.evaluate(wide) == []
    assert opened.evaluate("document.scripts.length") == 0
    assert opened.evaluate("[...document.images].every((one) => one.naturalWidth > 0)")
    assert opened.evaluate("document.querySelectorAll('article.card').length") == 28
    opened.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as image:
        assert image.width == width
        corner = image.convert("RGB").getpixel((2, 2))
    assert isinstance(corner, tuple)
    assert (sum(corner) > 600) == (scheme == "light")


def test_the_browser_tells_what_a_page_tries(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text(
        f"<!doctype html><meta http-equiv='Content-Security-Policy' content=\"{POLICY}\">"
        "<img src='http://127.0.0.1:9/x.png'><script>document.title = 'ran'</script>"
    )
    opened = open_page(chromium, path, 1280, "light")
    assert "script" in " ".join(opened.errors)
    assert "127.0.0.1:9" in " ".join(opened.errors)
    assert opened.evaluate("document.title") == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(chromium: Browser, page: Path, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1, measured on every element that has text of its own."""
    opened = open_page(chromium, page, 1280, scheme)
    faint = opened.evaluate(_CONTRAST)
    assert faint == []


def test_it_prints_on_white_pages(chromium: Browser, page: Path, tmp_path: Path) -> None:
    opened = open_page(chromium, page, 1280, "dark")
    opened.pdf(tmp_path / "page.pdf")
    printed = (tmp_path / "page.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert len(printed) < 5_000_000
    chromium.call("Emulation.setEmulatedMedia", opened.session, media="print")
    ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    kept = "getComputedStyle(document.querySelector('.found')).breakInside"
    assert opened.evaluate(kept) == "avoid"


_CONTRAST = """(() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const ground = channels(getComputedStyle(at).backgroundColor);
      if (ground.length === 3 || ground[3] > 0) return ground;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const one of document.querySelectorAll("body *:not(svg, svg *)")) {
    const own = [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || one.closest(".skip")) continue;
    const a = light(channels(getComputedStyle(one).color)), b = light(behind(one));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${one.tagName}.${one.className} ${ratio.toFixed(2)}`);
  }
  return [...new Set(faint)];
})()"""
