"""image.onnx: a picture's vector by a model file of the operator's own (ONNX), on this machine."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from core.arrays import Float32
from core.errors import MediaError, MissingExtraError, TrawlError
from core.media.decode import decode_colours, decode_grey
from core.media.parameters import ONNX_PARAMETERS, with_defaults
from core.ports.media import Chunk, Extraction, MediaInfo


def extract_onnx(data: bytes, params: Mapping[str, Any], declared_type: str | None) -> Extraction:
    """Return a picture's one vector, of length 1; see `extraction.extract`.

    `params["model"]` is the path of a file that `session_of` has read before.
    """
    values = with_defaults(ONNX_PARAMETERS, params)
    session = session_of(values["model"])
    facts = decode_grey(data, 16, declared_type)
    made = session.run(None, {session.get_inputs()[0].name: _tensor(data, values)})
    media = MediaInfo(
        content_type=facts.content_type,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        width=facts.width,
        height=facts.height,
    )
    vector = _unit(np.asarray(made[0], np.float32).reshape(-1), int(values["dimension"]))
    return Extraction((Chunk(vector),), media, facts.warnings)


@lru_cache(maxsize=8)
def session_of(path: str) -> Any:
    """Read a model file; kept, since a child that is locked in can open none.

    Raises `MissingExtraError` without onnxruntime, `TrawlError` for a file that is no model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "image.onnx needs onnxruntime: install trawl-retriever[onnx]", extra="onnx"
        ) from error
    options = onnxruntime.SessionOptions()
    # One thread: the filter on system calls holds for the thread that installs it.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    try:
        model = Path(path).read_bytes()
        return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime raises classes of its own, unrelated to each other.
        name = Path(path).name[:100]
        raise TrawlError(f"the model {name} cannot be read ({type(error).__name__})") from error


def _tensor(data: bytes, values: Mapping[str, Any]) -> Float32:
    """Return the picture as the model takes it: (1, 3, side, side) float32."""
    from PIL import Image

    side = int(values["input_size"])
    width, height, pixels = decode_colours(data, 2 * side)
    picture = Image.frombytes("RGB", (width, height), pixels)
    square = picture.resize((side, side), Image.Resampling.BICUBIC)
    shares = np.asarray(square, np.float32) / 255
    mean, std = (np.asarray(values[name], np.float32) for name in ("mean", "std"))
    tensor: Float32 = np.ascontiguousarray(((shares - mean) / std).transpose(2, 0, 1)[None])
    return tensor


def _unit(vector: Float32, dimension: int) -> Float32:
    if vector.shape != (dimension,):
        raise TrawlError(
            f"the model answered {vector.shape[0]} numbers; the collection's vectors have "
            f"{dimension}"
        )
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(length) or length == 0.0:
        raise MediaError("the model's vector of this picture has no direction: nothing to compare")
    return (vector / length).astype(np.float32)
