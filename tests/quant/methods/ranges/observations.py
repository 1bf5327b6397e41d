"""Observed activations for the tests of range rules."""

import numpy as np

from quant.calibration.activation_ranges import ActivationRange, TensorObserver


def observed(rule, *batches):
    """Return the evidence that calibration collects of these batches for a rule."""
    observer = TensorObserver(rule.evidence)
    for batch in batches:
        observer.add("x", batch.astype(np.float32))
    return observer.observed()


def error(values, ends, bits=8):
    """Return the mean squared error of values that are quantized to a range."""
    target = ActivationRange(*ends, bits)
    scale, zero = float(target.scale), int(target.zero_point)
    codes = np.clip(np.rint(values / scale) + zero, 0, 2**bits - 1)
    return np.mean(((codes - zero) * scale - values) ** 2)
