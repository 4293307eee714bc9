"""Media extraction in child processes of this one: what a laptop has instead of a media Lambda.

A few long-lived children (starting one takes about 0.3 s), each answering one file at a time. A
file that crashes, stalls or bloats its child fails alone; the child is replaced.
"""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.deadline import Deadline
from core.errors import DeadlineError, MediaError, UnavailableError
from core.media.extractors import find_extractor
from core.media.preview_wire import unpack_preview
from core.media.wire import (
    FRAME,
    frame_lengths,
    pack_frame,
    read_header,
    unpack_extraction,
    unpack_fault,
)
from core.ports.media import Extraction
from core.ports.previews import Preview
from core.types import JsonObject


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What one file may use. 1.5 GiB of address space decodes 100 megapixels with transparency."""

    wall_seconds: float = 20.0
    cpu_seconds: float = 15.0
    memory_bytes: int = 3 << 29
    file_bytes: int = 50_000_000
    start_seconds: float = 60.0  # only a machine that is out of breath takes more than one


class ProcessMediaExtractor:
    """A `MediaExtractor` over at most `workers` child processes, started when first needed.

    Callers beyond that many wait their turn until their deadline. `close` it: it ends children.
    `libraries` is what they load: `media`, or the name of an extra that is too heavy beside it;
    `models` are files that they read before they are locked in.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        limits: ProcessLimits | None = None,
        libraries: str = "media",
        models: Sequence[str] = (),
    ) -> None:
        self._loads = {"libraries": libraries, "models": list(models)}
        self._limits = limits or ProcessLimits()
        self._closed = False
        self._lock = threading.Lock()
        self._children: set[_Child] = set()
        # The last one used is the first one taken: idle places stay without a process.
        self._places: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(workers):
            self._places.put(None)

    def extract(
        self,
        extractor: str,
        data: bytes,
        *,
        deadline: Deadline,
        params: Mapping[str, Any] | None = None,
        max_chunks: int | None = None,
        as_query: bool = False,
        declared_type: str | None = None,
    ) -> Extraction:
        """Return the chunks of one file; see `MediaExtractor.extract`."""
        info = find_extractor(extractor).sized(params or {})
        if len(data) > self._limits.file_bytes:
            raise MediaError(
                f"the file has {len(data)} bytes; at most {self._limits.file_bytes} are read"
            )
        request = {
            "extractor": info.reference,
            "params": dict(params or {}),
            "max_chunks": max_chunks,
            "as_query": as_query,
            "declared_type": declared_type,
        }
        header, body = self._ask(pack_frame(request, data), deadline)
        if "fault" in header:
            raise unpack_fault(header["fault"])
        return unpack_extraction(info, header, body)

    def preview(self, data: bytes, *, deadline: Deadline, times_ms: Sequence[int] = ()) -> Preview:
        """Return what can be shown of a file; see `Previewer.preview`."""
        if len(data) > self._limits.file_bytes:
            raise MediaError(f"it has {len(data)} bytes; {self._limits.file_bytes} are shown")
        request = {"preview": {"times_ms": list(times_ms)}}
        header, body = self._ask(pack_frame(request, data), deadline)
        if "fault" in header:
            raise unpack_fault(header["fault"])
        return unpack_preview(header, body)

    def pids(self) -> tuple[int, ...]:
        """Return the process ids of the children there are, for whoever watches the machine."""
        with self._lock:
            return tuple(child.pid for child in self._children)

    def close(self) -> None:
        """End all children; files being read fail as unavailable."""
        with self._lock:
            self._closed = True
            idle = self._drain()
            busy = self._children.difference(idle)
            self._children.clear()
        for child in busy:
            child.kill()  # the thread that waits for it ends it: it holds the socket
        for child in idle:
            child.end()

    def _drain(self) -> list["_Child"]:
        """Take the idle children out of their places."""
        taken = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._places.get_nowait())
        for _ in taken:
            self._places.put(None)  # whoever waits for a place now learns that we are closed
        return [child for child in taken if child is not None]

    def _ask(self, frame: bytes, deadline: Deadline) -> tuple[JsonObject, bytes]:
        deadline.check("the wait for a media process")
        child = self._take(deadline)
        keep = False
        try:
            child.await_ready(deadline)
            answer = child.exchange(frame, deadline, self._limits)
            # A child that ran out of memory ends itself, so that the next file has all of it.
            keep = answer[0].get("fault", {}).get("kind") != "memory"
            return answer
        except _StillStartingError as error:
            keep = True  # the start is not lost: the next caller finds it further on
            raise DeadlineError("time ran out while the media process started") from error
        except (MediaError, DeadlineError):
            if self._closed:
                raise UnavailableError("the media processes were closed") from None
            raise
        finally:
            self._give_back(child, keep)

    def _take(self, deadline: Deadline) -> "_Child":
        try:
            # An endless wait cannot be interrupted; nobody waits a day.
            child = self._places.get(timeout=min(deadline.remaining(), 86_400))
        except queue.Empty as error:
            raise DeadlineError("time ran out waiting for a media process") from error
        try:
            if child is not None and not child.alive():
                self._forget(child)  # it died while idle: that was no file's fault
                child = None
            return child or self._start()
        except BaseException:
            self._places.put(None)
            raise

    def _start(self) -> "_Child":
        with self._lock:
            if self._closed:
                raise UnavailableError("the media processes were closed")
            child = _Child(self._limits, self._loads)
            self._children.add(child)
            return child

    def _give_back(self, child: "_Child", keep: bool) -> None:
        with self._lock:
            if keep and not self._closed:
                self._places.put(child)
                return
        self._forget(child)
        self._places.put(None)

    def _forget(self, child: "_Child") -> None:
        with self._lock:
            self._children.discard(child)
        child.end()


class _StillStartingError(Exception):
    """The deadline passed before the child said hello."""


class _Child:
    """One process and the parent's end of its socket."""

    def __init__(self, limits: ProcessLimits, loads: JsonObject) -> None:
        self._ready = False
        self._start_by = Deadline.after(limits.start_seconds)
        ours, theirs = socket.socketpair()
        arguments = {
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": limits.cpu_seconds,
            **loads,
        }
        # -P: not the working directory but only our own path is searched for modules.
        command = [sys.executable, "-P", "-s", "-B", "-m", "core.media.worker"]
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own module, fixed arguments
                    [*command, json.dumps(arguments)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env=_environment(),
                    process_group=0,  # an interrupt at the terminal is the parent's to handle
                )
        except OSError as error:
            ours.close()
            raise UnavailableError(f"no media process could be started: {error}") from error
        self._socket = ours

    @property
    def pid(self) -> int:
        """The process id."""
        return int(self._process.pid)

    def alive(self) -> bool:
        """Say whether the process still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the process; whoever reads from it wakes up and must `end` it. Repeatable."""
        self._process.kill()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Kill the process and release everything; only for the thread that holds it."""
        self.kill()
        self._process.wait()
        self._socket.close()

    def await_ready(self, deadline: Deadline) -> None:
        """Return once the child has said hello; the wait may be spread over several callers."""
        if self._ready:
            return
        try:
            # Wait without reading, so that a deadline cannot cut a message in two.
            self._socket.settimeout(_timeout(min(deadline, self._start_by, key=lambda d: d.at)))
            self._socket.recv(1, socket.MSG_PEEK)
            header, _ = self._receive(self._start_by)
        except TimeoutError as error:
            if self._start_by.passed():
                self.end()
                raise UnavailableError("the media process did not start in time") from error
            raise _StillStartingError from error
        except OSError as error:
            raise UnavailableError(
                f"the media process ended while starting ({self._ending()})"
            ) from error
        if "fault" in header:
            raise unpack_fault(header["fault"])
        self._ready = True

    def exchange(
        self, frame: bytes, deadline: Deadline, limits: ProcessLimits
    ) -> tuple[JsonObject, bytes]:
        """Send one request and return its answer; afterwards, if it raised, the child is spent."""
        until = deadline.earlier(limits.wall_seconds)
        try:
            self._socket.settimeout(_timeout(until))
            self._socket.sendall(frame)
            return self._receive(until)
        except TimeoutError as error:
            if deadline.passed():
                raise DeadlineError("time ran out while the file was read") from error
            raise MediaError(
                f"the file takes more than {limits.wall_seconds:g} s to read"
            ) from error
        except OSError as error:
            raise MediaError(f"the file made the media process end ({self._ending()})") from error

    def _receive(self, until: Deadline) -> tuple[JsonObject, bytes]:
        head, body = frame_lengths(self._read(FRAME.size, until))
        return read_header(self._read(head, until)), self._read(body, until)

    def _read(self, size: int, until: Deadline) -> bytes:
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            self._socket.settimeout(_timeout(until))
            got = self._socket.recv_into(view)
            if got == 0:
                raise ConnectionResetError("the media process ended")
            view = view[got:]
        return bytes(buffer)

    def _ending(self) -> str:
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "it hung up"
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name
        return {"SIGXCPU": "it used too much CPU time"}.get(name, name)


def _timeout(until: Deadline) -> float:
    # 0 would mean "do not block", so a passed moment still gets one short try.
    return min(max(until.remaining(), 0.001), 86_400)


def _environment() -> dict[str, str]:
    """Return the child's whole environment: where our modules are, and no credentials."""
    here = str(Path(__file__).resolve().parents[2])
    known = [path for path in sys.path if Path(path).is_absolute()]
    return {
        "PYTHONPATH": os.pathsep.join([here, *known]),
        "LANG": "C.UTF-8",
        # One thread: the filter on system calls holds for the thread that installs it.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        # onnxruntime starts a thread to tell its makers of itself: not from here.
        "ORT_DISABLE_TELEMETRY": "1",
    }
