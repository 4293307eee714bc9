"""The child process that parses untrusted media: `python -m core.media.worker LIMITS` on a socket.

Standard input is one end of a socket pair: requests come and answers go there, nothing else is
open. It ends when the socket does, so it cannot outlive its parent. (A death signal would be tied
to the parent's *thread* that started it, and pool threads end.)
"""

import io
import json
import os
import sys
from typing import NoReturn

from core.errors import MissingExtraError
from core.media.decode import require_pillow
from core.media.extraction import extract
from core.media.extractors import FACE_DLIB, IMAGE_PDQ, LOGO_SIFT
from core.media.file_types import IMAGES
from core.media.parameters import VERIFY
from core.media.preview import make_preview
from core.media.preview_wire import pack_preview
from core.media.recordings import require_av
from core.media.sandbox import arm_cpu_limit, deny_syscalls, limit_resources, one_processor
from core.media.warming import warm_up_recordings
from core.media.wire import FRAME, pack_extraction, pack_fault, pack_frame, read_header
from core.types import JsonObject

_SOCKET = 0


def main() -> NoReturn:
    """Warm up, lock down, say hello, then answer requests until the socket ends."""
    limits = json.loads(sys.argv[1])
    try:
        if limits.get("libraries") == "logo":
            _warm_up_logos()
        elif limits.get("libraries") == "face":
            _warm_up_faces()
        elif limits.get("libraries") == "onnx":
            _warm_up_models(limits["models"])
        else:
            _warm_up()
    except Exception as error:  # the parent can only be told now; what is missing is in the text
        _write({"fault": pack_fault(error)}, b"")
        os._exit(1)
    if _thread_count() > 1:
        # The filter holds for one thread: another would stay free.
        _write({"fault": {"kind": "internal", "message": "threads"}}, b"")
        os._exit(1)
    limit_resources(limits["memory_bytes"])
    _write({"ready": True, "seccomp": deny_syscalls()}, b"")
    while True:
        prefix = _read(FRAME.size)
        head, body = FRAME.unpack(prefix)
        request = read_header(_read(head))
        data = _read(body)
        arm_cpu_limit(limits["cpu_seconds"])
        header, vectors = _answer(request, data)
        _write(header, vectors)
        if header.get("fault", {}).get("kind") == "memory":
            os._exit(0)  # memory that was nearly exhausted must not fail the next file


def _answer(request: JsonObject, data: bytes) -> tuple[JsonObject, bytes]:
    try:
        if "preview" in request:
            return pack_preview(make_preview(data, **request["preview"]))
        return pack_extraction(extract(data=data, **request))
    except Exception as error:  # whatever it is, this process goes on and the parent is told
        return {"fault": pack_fault(error)}, b""


def _warm_up() -> None:
    """Decode a sample of each type: later imports would fail, for no file can be opened then."""
    require_pillow()
    import numpy as np
    from PIL import Image

    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 4), np.uint8))
    for format_name in IMAGES.values():
        sample = io.BytesIO()
        noise.convert("RGB").save(sample, format_name)
        for as_query in (False, True):
            extract(IMAGE_PDQ.name, sample.getvalue(), as_query=as_query)
        make_preview(sample.getvalue())
    try:
        require_av()
    except MissingExtraError:
        return  # images are read without it, and the rest is refused by the extra's name
    with one_processor():
        for name, recording in warm_up_recordings():
            extract(name, recording, as_query=True)
            make_preview(recording)


def _warm_up_logos() -> None:
    """Load OpenCV instead of what the other children load: together they leave little memory."""
    from core.media.logos import require_opencv

    require_pillow()
    require_opencv()
    import numpy as np
    from PIL import Image

    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 4), np.uint8))
    with one_processor():
        for format_name in IMAGES.values():
            sample = io.BytesIO()
            noise.convert("RGB").save(sample, format_name)
            for as_query in (False, True):
                extract(LOGO_SIFT.name, sample.getvalue(), as_query=as_query)
                data, verify = sample.getvalue(), {VERIFY: True}
                extract(IMAGE_PDQ.name, data, params=verify, as_query=as_query)


def _warm_up_faces() -> None:
    """Read the models, and run each: no file can be opened later."""
    from core.media.faces import face_models

    require_pillow()
    import numpy as np
    from PIL import Image

    with one_processor():
        face_models().warm_up()
        noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 4), np.uint8))
        for format_name in IMAGES.values():
            sample = io.BytesIO()
            noise.convert("RGB").save(sample, format_name)
            extract(FACE_DLIB.name, sample.getvalue())


def _warm_up_models(paths: list[str]) -> None:
    """Read the model files, and run each once if it takes a picture of some usual size."""
    from core.media.onnx_model import session_of

    require_pillow()
    from PIL import Image

    for format_name in IMAGES.values():
        sample = io.BytesIO()
        Image.new("RGB", (16, 16), "red").save(sample, format_name)
        make_preview(sample.getvalue())
    with one_processor():
        for path in paths:
            session_of(path)


def _thread_count() -> int:
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names are all it takes
    except OSError:
        return 1  # no such place on this platform, and no filter either


def _read(size: int) -> bytes:
    read = bytearray()
    while len(read) < size:
        part = os.read(_SOCKET, min(size - len(read), 1 << 20))
        if not part:
            os._exit(0)
        read += part
    return bytes(read)


def _write(header: JsonObject, body: bytes) -> None:
    frame = memoryview(pack_frame(header, body))
    while frame:
        frame = frame[os.write(_SOCKET, frame) :]


if __name__ == "__main__":
    main()
