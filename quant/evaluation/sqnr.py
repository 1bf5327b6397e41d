"""The signal-to-quantization-noise ratio (SQNR)."""

import math

EXACT_DB = 200.0
"""The SQNR of equal values in dB. JSON has no infinity; the error of float32 rounding lies near 150 dB."""


def sqnr_db(signal: float, noise: float) -> float:
    """Return the signal-to-quantization-noise ratio 10 log10(signal / noise) in dB, from 0 without signal to 200.

    Args:
        signal: the energy of the signal, its sum of squares.
        noise: the energy of the error.
    """
    if noise <= 0:
        return EXACT_DB
    if not math.isfinite(noise):  # the sum of squares overflowed
        return 0.0
    return min(EXACT_DB, 10 * math.log10(signal / noise)) if signal > 0 else 0.0
