"""`trawl serve` as a process of its own."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.handlers.commands.command_line import Trawl, load_folder


def test_serving_announces_where_and_its_first_key_and_ends_in_order(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    first = _serve_once(data)
    assert any(line.startswith("Admin key") for line in first)
    assert not any(line.startswith("Admin key") for line in _serve_once(data))


def test_using_the_folder_first_leaves_the_first_key_to_the_server(
    tmp_path: Path, folder: Path
) -> None:
    data = tmp_path / "data"
    load_folder(Trawl(["--data", str(data)]), folder)
    assert any(line.startswith("Admin key") for line in _serve_once(str(data)))


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        shown = Trawl(["--data", str(tmp_path / "data")]).run("serve", "--port", port, status=1)
    assert shown.stderr == f"error: port {port} is taken: choose another with --port, or 0\n"


def _serve_once(data: str) -> list[str]:
    """Start `trawl serve` as a process of its own, stop it once it answers; return its lines."""
    command = [sys.executable, "-m", "handlers.cli", "serve", "--port", "0", "--data", data]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        assert process.stdout is not None
        first = process.stdout.readline()
        url = next(word for word in first.split() if word.startswith("http://"))
        with urllib.request.urlopen(f"{url}/v1/health") as answer:  # noqa: S310 - our own server
            assert json.load(answer) == {"status": "ok"}
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().splitlines()
        assert process.wait() == 0
    return [first, *rest]
