"""Voice activity by loudness alone, for when no model may be spent on it: anything well above the noise counts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SILENCE_DBFS = -96.0
"""Level of digital silence, one bit of sixteen [dBFS]."""
_FLOOR_START_DBFS = -60.0
_FLOOR_RISE_DB = 0.05
_MARGIN_DB = 9.0
_WIDTH_DB = 6.0


def level_dbfs(samples: NDArray[np.int16]) -> float:
    """RMS level against a full-scale square wave [dBFS], -96 for silence."""
    if len(samples) == 0:
        return SILENCE_DBFS
    rms = float(np.sqrt(np.mean(np.square(samples.astype(np.float64)))))
    return max(SILENCE_DBFS, 20.0 * math.log10(max(rms, 1e-9) / 32768.0))


class LoudnessDetector:
    """Gives each window a probability from how far it stands out of the noise.

    Owns: the noise floor, which falls at once and rises by 1.5 dB a second.
    """

    def __init__(self) -> None:
        self.floor_dbfs = _FLOOR_START_DBFS

    def reset(self) -> None:
        """Forgets the noise floor."""
        self.floor_dbfs = _FLOOR_START_DBFS

    def probabilities(self, window: NDArray[np.int16]) -> list[float]:
        """One probability in [0, 1] for one window: 0.5 at 12 dB above the noise floor."""
        level = level_dbfs(window)
        self.floor_dbfs = max(min(level, self.floor_dbfs + _FLOOR_RISE_DB), -80.0)
        above = level - self.floor_dbfs - _MARGIN_DB
        return [min(1.0, max(0.0, above / _WIDTH_DB))]
