"""Headless Chromium for tests, driven over a pair of pipes by its DevTools protocol."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
_SECONDS = 60.0
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


@dataclass(slots=True)
class Browser:
    """A running browser: `call` asks it, `events` is what it told since."""

    to: int
    back: int
    events: list[dict[str, Any]] = field(default_factory=list)
    _count: int = 0
    _rest: bytes = b""

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Return the result of a command; fails if the browser refuses it or does not answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + _SECONDS
        while True:
            said = self._next(until)
            if said.get("id") == self._count:
                assert "result" in said, said
                result: dict[str, Any] = said["result"]
                return result
            self.events.append(said)

    def wait_for(self, method: str) -> None:
        """Return once an event of that name has come."""
        until = time.monotonic() + _SECONDS
        while all(event.get("method") != method for event in self.events):
            self.events.append(self._next(until))

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            left = until - time.monotonic()
            assert left > 0, "the browser does not answer"
            if select.select([self.back], [], [], left)[0]:
                part = os.read(self.back, 1 << 20)
                assert part, "the browser ended"
                self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        said: dict[str, Any] = json.loads(message)
        return said


@dataclass(slots=True)
class Page:
    """A page as it was opened. `requests` are all addresses asked for, `errors` what it logged."""

    browser: Browser
    session: str
    requests: list[str]
    errors: list[str]

    def evaluate(self, expression: str) -> Any:
        """Return the JSON value of an expression; the page's own policy does not hold for it."""
        answer = self.browser.call(
            "Runtime.evaluate", self.session, expression=expression, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Write the whole page as a PNG file."""
        answer = self.browser.call(
            "Page.captureScreenshot", self.session, format="png", captureBeyondViewport=True
        )
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path: Path) -> None:
        """Write the page as it is printed."""
        answer = self.browser.call(
            "Page.printToPDF", self.session, preferCSSPageSize=True, printBackground=True
        )
        path.write_bytes(base64.b64decode(answer["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Yield a browser with a new profile in a folder; it ends with the block."""
    assert CHROMIUM is not None
    ours_read, theirs_write = os.pipe()
    theirs_read, ours_write = os.pipe()
    # Out of the way of the numbers 3 and 4, which the browser reads and writes.
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_read, theirs_write)]
    script = f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}'
    command = ["/bin/bash", "-c", script, "bash", CHROMIUM, *_OPTIONS]
    process = subprocess.Popen(  # noqa: S603 - fixed arguments
        [*command, f"--user-data-dir={folder}"],
        pass_fds=ends,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (*ends, theirs_read, theirs_write):
        os.close(end)
    made = Browser(ours_write, ours_read)
    try:
        yield made
        made.call("Browser.close")
    finally:
        os.close(ours_write)
        os.close(ours_read)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def open_page(browser: Browser, path: Path, width: int, scheme: str) -> Page:
    """Open a file in a tab of its own, in a colour scheme; return it when it is loaded."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Network", "Log", "Runtime", "Audits"):
        browser.call(f"{domain}.enable", session)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.call("Emulation.setDeviceMetricsOverride", session, **size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.call("Emulation.setEmulatedMedia", session, features=features)
    browser.events.clear()
    browser.call("Page.navigate", session, url=path.as_uri())
    browser.wait_for("Page.loadEventFired")
    page = Page(browser, session, [], [])
    page.evaluate("1")  # what was told until now has come before its answer
    for event in browser.events:
        _note(page, event.get("method", ""), event.get("params", {}))
    return page


def _note(page: Page, method: str, params: Mapping[str, Any]) -> None:
    if method == "Network.requestWillBeSent":
        page.requests.append(params["request"]["url"])
    elif method == "Log.entryAdded":
        page.errors.append(params["entry"]["text"])
    elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Audits.issueAdded"):
        page.errors.append(json.dumps(params)[:500])
