"""Rows of numbers from a model's server, as vectors of unit length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from app.errors import UpstreamBrokenError
from app.protocols import Vectors


def unit_vectors(rows: object, *, count: int) -> Vectors:
    """The rows scaled to unit length, float32, shape (count, dimensions).

    Raises `UpstreamBrokenError` for rows that are not `count` finite, non-zero vectors of one length.
    """
    try:
        matrix: npt.NDArray[np.float64] = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        raise UpstreamBrokenError from None
    if matrix.ndim != 2 or matrix.shape[0] != count or not np.isfinite(matrix).all():  # noqa: PLR2004  (a matrix)
        raise UpstreamBrokenError
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise UpstreamBrokenError
    units: Vectors = (matrix / lengths).astype(np.float32)
    return units


def stack(parts: Sequence[Vectors]) -> Vectors:
    """The vectors of several answers as one array; raises `UpstreamBrokenError` if they differ in length."""
    if len({part.shape[1] for part in parts}) > 1:
        raise UpstreamBrokenError
    return np.concatenate(parts) if parts else np.empty((0, 0), dtype=np.float32)
