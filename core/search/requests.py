"""What every engine refuses before it searches, in the same words."""

import numpy as np

from core.arrays import Float32, Mask, UInt8
from core.errors import InvalidRequestError
from core.ports.vectors import VectorBlock


def check_request(block: VectorBlock, queries: Float32 | UInt8, k: int, mask: Mask | None) -> None:
    """Raise `InvalidRequestError` unless queries, k and mask fit the block."""
    hamming = block.metric == "hamming"
    width = block.dimension // 8 if hamming else block.dimension
    if queries.ndim != 2 or queries.shape[1] != width:
        raise InvalidRequestError(
            f"the vectors searched have dimension {block.dimension} ({block.metric}); "
            f"got queries of shape {queries.shape}, wanted (queries, {width})"
        )
    wanted = np.uint8 if hamming else np.float32
    if queries.dtype != wanted:
        raise InvalidRequestError(
            f"{block.metric} searches take {np.dtype(wanted)} queries; got {queries.dtype}"
        )
    if not hamming and not np.isfinite(queries).all():
        raise InvalidRequestError("a query vector holds NaN or infinity")
    if k < 0:
        raise InvalidRequestError(f"k must not be negative; got {k}")
    if mask is not None and mask.shape != (len(block.originals),):
        raise InvalidRequestError(
            f"a mask must have one entry for each of {len(block.originals)} rows; "
            f"got shape {mask.shape}"
        )
