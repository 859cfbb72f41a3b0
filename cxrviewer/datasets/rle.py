"""Run-length masks as SIIM-ACR publishes them: relative, and down the columns.

`100 3 50 2`: pass over 100 pixels, mark 3, pass over 50, mark 2. Pixels are counted down the first column, then down
the second (the competition's own `mask_functions.py`). `-1` stands for no mask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NONE = "-1"
PATTERN = r"^\s*(-1|\d{1,9} \d{1,9}( \d{1,9} \d{1,9})*)\s*$"


def fits(text: str, pixels: int) -> bool:
    """True where the runs end within a picture of so many pixels."""
    return text.strip() == NONE or sum(map(int, text.split())) <= pixels


def decode(text: str, height: int, width: int) -> NDArray[np.bool_]:
    """(height, width), True where marked. Raises ValueError where the runs are no pairs or leave the picture."""
    mask = np.zeros(height * width, np.bool_)
    if text.strip() != NONE:
        pairs = np.array(text.split(), np.int64).reshape(-1, 2)
        ends = pairs.sum(1).cumsum()
        if (pairs < 0).any() or (len(ends) and ends[-1] > mask.size):
            raise ValueError("A run leaves the picture.")
        for end, length in zip(ends, pairs[:, 1], strict=True):
            mask[end - length : end] = True
    return mask.reshape(width, height).T
