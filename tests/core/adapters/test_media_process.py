"""The child process that reads untrusted media: what it may, and what a bad file does to others."""

import os
import random
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from core.adapters.media_process import ProcessLimits, ProcessMediaExtractor
from core.deadline import Deadline
from core.errors import DeadlineError, MediaError, UnavailableError
from core.media.extraction import extract
from core.ports.media import MediaExtractor
from tests.contracts.media import FILE, MediaExtractorContract, read, soon, vectors
from tests.core.adapters.filtered import run_filtered
from tests.core.media.pictures import encode, landscape

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def shared() -> Iterator[ProcessMediaExtractor]:
    extractor = ProcessMediaExtractor(workers=2)
    yield extractor
    extractor.close()


@pytest.fixture
def single() -> Iterator[ProcessMediaExtractor]:
    extractor = ProcessMediaExtractor(workers=1)
    yield extractor
    extractor.close()


class TestContract(MediaExtractorContract):
    """Through a child process."""

    @pytest.fixture
    def extractor(self, single: ProcessMediaExtractor) -> MediaExtractor:
        return single


def test_files_over_the_limit_are_not_even_sent() -> None:
    extractor = ProcessMediaExtractor(limits=ProcessLimits(file_bytes=100))
    with pytest.raises(MediaError, match="at most 100"):
        read(extractor)
    assert extractor.pids() == ()
    extractor.close()


def test_many_threads_share_few_children(shared: ProcessMediaExtractor) -> None:
    files = [encode(landscape(seed), "PNG") for seed in range(8)] * 4
    expected = [vectors(extract("image.pdq", file)) for file in files]
    with ThreadPoolExecutor(8) as pool:
        got = [vectors(found) for found in pool.map(lambda file: read(shared, file), files)]
    assert got == expected
    assert len(shared.pids()) <= 2


def test_mutated_files_never_hurt_the_parent(shared: ProcessMediaExtractor) -> None:
    rng = random.Random(7)  # noqa: S311 - which bytes to break
    originals = [
        encode(landscape(2), name) for name in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
    ]
    refused = 0
    for turn in range(240):
        data = bytearray(originals[turn % len(originals)])
        for _ in range(rng.choice((1, 4, 40))):
            # Headers are where a byte does the most.
            at = rng.randrange(rng.choice((64, 600, len(data))))
            data[at] = rng.choice((0, 0xFF, 0x7F, rng.randrange(256)))
        try:
            assert read(shared, bytes(data)).media.size_bytes == len(data)
        except MediaError as error:
            refused += 1
            assert len(error.message) < 500
    assert 40 < refused < 240
    assert read(shared).chunks


@dataclass(frozen=True)
class KillingDeadline(Deadline):
    """Kills a process at the moment when its file is about to be sent."""

    pid: int = 0
    by: signal.Signals = signal.SIGKILL

    def earlier(self, seconds: float | None) -> Deadline:
        os.kill(self.pid, self.by)
        return super().earlier(seconds)


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (signal.SIGKILL, "SIGKILL"),
        (signal.SIGSEGV, "SIGSEGV"),
        (signal.SIGXCPU, "too much CPU time"),
    ],
)
def test_a_child_that_dies_fails_its_file_and_is_replaced(
    single: ProcessMediaExtractor, by: signal.Signals, said: str
) -> None:
    read(single)
    (pid,) = single.pids()
    with pytest.raises(MediaError, match=said) as caught:
        single.extract("image.pdq", FILE, deadline=KillingDeadline(soon().at, pid, by))
    assert (caught.value.blame, caught.value.retryable) == ("media", False)
    assert read(single).chunks
    assert single.pids() != (pid,)


@linux
def test_a_child_that_died_idle_is_no_files_fault(single: ProcessMediaExtractor) -> None:
    read(single)
    (pid,) = single.pids()
    kill_and_wait(pid)
    assert read(single).chunks
    assert single.pids() != (pid,)


def test_a_file_that_takes_too_long_is_given_up() -> None:
    extractor = ProcessMediaExtractor(workers=1, limits=ProcessLimits(wall_seconds=2.0))
    read(extractor)
    (pid,) = extractor.pids()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(MediaError, match=r"more than 2 s"):
        read(extractor)
    assert read(extractor).chunks
    extractor.close()


def test_the_deadline_is_kept_and_the_child_replaced(single: ProcessMediaExtractor) -> None:
    read(single)
    (pid,) = single.pids()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(DeadlineError):
        single.extract("image.pdq", FILE, deadline=Deadline.after(0.2))
    assert read(single).chunks


def test_waiting_for_a_busy_child_ends_at_the_deadline(single: ProcessMediaExtractor) -> None:
    read(single)
    (pid,) = single.pids()
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(read, single)
        with pytest.raises(DeadlineError):
            while True:  # until the thread has taken the child, this call takes it itself
                single.extract("image.pdq", FILE, deadline=Deadline.after(0.1))
        # Whoever held the child has had it killed or goes on with it.
        for pid in single.pids():
            os.kill(pid, signal.SIGCONT)
        assert busy.result().chunks


def test_a_start_cut_short_is_not_lost(single: ProcessMediaExtractor) -> None:
    with pytest.raises(DeadlineError):
        single.extract("image.pdq", FILE, deadline=Deadline.after(0))
    with pytest.raises(DeadlineError, match="started"):
        single.extract("image.pdq", FILE, deadline=Deadline.after(0.01))
    (pid,) = single.pids()
    assert read(single).chunks
    assert single.pids() == (pid,)


def test_a_file_that_needs_too_much_memory_fails_alone() -> None:
    # A real image, 36 megapixels in a few kilobytes.
    bomb = encode(Image.new("RGB", (6000, 6000)), "PNG")
    limits = ProcessLimits(memory_bytes=280 << 20)
    extractor = ProcessMediaExtractor(workers=1, limits=limits)
    with pytest.raises(MediaError, match="memory"):
        read(extractor, bomb)
    assert read(extractor).chunks
    extractor.close()


def test_the_cpu_limit_ends_a_process_that_computes_on() -> None:
    code = "from core.media.sandbox import arm_cpu_limit\narm_cpu_limit(0)\nwhile True: pass"
    run = subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603 - our own code
    assert run.returncode == -signal.SIGXCPU


@linux
def test_the_child_sees_no_credentials_and_no_folder_of_ours(
    single: ProcessMediaExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    read(single)
    process = Path("/proc") / str(single.pids()[0])
    environment = (process / "environ").read_bytes()
    assert b"hush" not in environment
    assert b"AWS" not in environment
    assert (process / "cwd").readlink() == Path("/")
    targets = {entry.name: str(entry.readlink()) for entry in (process / "fd").iterdir()}
    assert targets["1"] == targets["2"] == "/dev/null"
    assert {name for name, to in targets.items() if to.startswith("socket:")} == {"0"}
    limits = (process / "limits").read_text()
    assert "Max core file size        0" in limits
    assert "Max file size             0" in limits


def test_closing_ends_children_and_later_calls(single: ProcessMediaExtractor) -> None:
    read(single)
    (pid,) = single.pids()
    single.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(UnavailableError):
        read(single)
    single.close()


def test_closing_frees_those_who_wait(single: ProcessMediaExtractor) -> None:
    read(single)
    os.kill(single.pids()[0], signal.SIGSTOP)
    taken = threading.Event()

    @dataclass(frozen=True)
    class Telling(Deadline):
        def earlier(self, seconds: float | None) -> Deadline:
            taken.set()
            return super().earlier(seconds)

    with ThreadPoolExecutor(2) as pool:
        busy = pool.submit(single.extract, "image.pdq", FILE, deadline=Telling(soon().at))
        assert taken.wait(30)
        waiting = pool.submit(read, single)
        single.close()
        for call in (busy, waiting):
            with pytest.raises(UnavailableError):
                call.result(timeout=30)


@linux
def test_children_end_when_the_parent_dies() -> None:
    code = (
        "import os, signal, sys\n"
        "from core.adapters.media_process import ProcessMediaExtractor\n"
        "from core.deadline import Deadline\n"
        "extractor = ProcessMediaExtractor(workers=1)\n"
        "extractor.extract('image.pdq', sys.stdin.buffer.read(), deadline=Deadline.after(60))\n"
        "print(*extractor.pids(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], input=FILE, capture_output=True, check=False
    )
    wait_for_end(int(parent.stdout))


@linux
def test_a_filtered_process_can_compute_but_not_reach_out() -> None:
    tries = (
        "tries = {'open': lambda: open('/etc/passwd'), 'socket': socket.socket,\n"
        "  'fork': os.fork, 'exec': lambda: os.execv('/bin/true', ['true']),\n"
        "  'kill': lambda: os.kill(os.getppid(), 0), 'unlink': lambda: os.unlink('/tmp/x'),\n"
        "  'list': lambda: os.listdir('/')}\n"
        "for name, attempt in tries.items():\n"
        "    try: attempt()\n"
        "    except PermissionError: os.write(1, name.encode() + b' ')\n"
        "os.write(1, str(sum(range(10**6)) and len(bytearray(10**8))).encode())"
    )
    assert run_filtered("import socket", tries) == [
        *("open", "socket", "fork", "exec", "kill", "unlink", "list"),
        "100000000",
    ]


def kill_and_wait(pid: int) -> None:
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    readable, _, _ = select.select([handle], [], [], 30)
    os.close(handle)
    assert readable


def wait_for_end(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    readable, _, _ = select.select([handle], [], [], 30)
    os.close(handle)
    assert readable, f"process {pid} outlived its parent"
