"""A model file of a few bytes: the mean of each colour, as ONNX's protobuf, written by hand.

Field numbers are those of onnx.proto (ModelProto, GraphProto, NodeProto, ValueInfoProto).
"""


def mean_colour_model() -> bytes:
    """Return a model from `x`, (1, 3, height, width) float32, to `y`, (1, 3, 1, 1)."""
    node = _text(1, "x") + _text(2, "y") + _text(4, "GlobalAveragePool")
    graph = _part(1, node) + _text(2, "mean")
    graph += _part(11, _value("x", (1, 3, "h", "w"))) + _part(12, _value("y", (1, 3, 1, 1)))
    opset = _text(1, "") + _number(2, 13)
    return _number(1, 8) + _part(7, graph) + _part(8, opset)


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    dimensions = b"".join(
        _part(1, _number(1, each) if isinstance(each, int) else _text(2, each)) for each in shape
    )
    tensor = _number(1, 1) + _part(2, dimensions)  # 1: FLOAT
    return _text(1, name) + _part(2, _part(1, tensor))


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3, value])


def _text(field: int, value: str) -> bytes:
    return _part(field, value.encode())


def _part(field: int, data: bytes) -> bytes:
    size = len(data)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([field << 3 | 2]) + length + data
