"""How far a quantized model's outputs are from the float model's, accumulated batch by batch."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXACT_DB = 200.0
"""Stands for no error at all: JSON has no infinity, and float32 rounding lies near 150 dB."""


def sqnr_db(signal: float, noise: float) -> float:
    """Signal to quantization noise, 10 log10(signal / noise) of two energies, at most 200 dB."""
    if noise <= 0:
        return EXACT_DB
    if not math.isfinite(noise):  # beyond what a sum can hold
        return 0.0
    return min(EXACT_DB, 10 * math.log10(signal / noise)) if signal > 0 else 0.0


@dataclass
class OutputComparison:
    """Running sums over the outputs of both models on the same samples; double precision.

    Top-1 figures are of the first output where it has the shape (samples, classes).
    """

    signal: float = 0.0
    quantized_energy: float = 0.0
    product: float = 0.0
    noise: float = 0.0
    samples: int = 0
    agreed: int = 0
    correct_float: int = 0
    correct_quantized: int = 0
    classifies: bool = True

    def add(
        self,
        expected: list[NDArray[np.generic]],
        actual: list[NDArray[np.generic]],
        labels: NDArray[np.int64] | None,
    ) -> None:
        """Add one batch of outputs, in graph order; non-float outputs do not count."""
        for a, b in zip(expected, actual, strict=True):
            if a.dtype.kind != "f":
                continue
            x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
            self.signal += float(x @ x)
            self.quantized_energy += float(y @ y)
            self.product += float(x @ y)
            self.noise += float((x - y) @ (x - y))
        self._add_classes(expected[0], actual[0], labels)

    def _add_classes(
        self, expected: NDArray[np.generic], actual: NDArray[np.generic], labels: NDArray[np.int64] | None
    ) -> None:
        self.classifies &= expected.ndim == 2 and expected.shape[1] > 1 and expected.dtype.kind == "f"
        if not self.classifies:
            return
        by_float, by_quantized = expected.argmax(axis=1), actual.argmax(axis=1)
        self.samples += len(by_float)
        self.agreed += int((by_float == by_quantized).sum())
        if labels is not None:
            self.correct_float += int((by_float == labels).sum())
            self.correct_quantized += int((by_quantized == labels).sum())

    def figures(self, labelled: bool) -> dict[str, float | None]:
        """output_sqnr_db, output_cosine, top1_agreement (fraction), top1_float and top1_quantized (percent)."""
        classes = self.classifies and self.samples > 0
        energy = math.sqrt(self.signal * self.quantized_energy)
        return {
            "output_sqnr_db": sqnr_db(self.signal, self.noise),
            "output_cosine": self.product / energy if energy > 0 else None,
            "top1_agreement": self.agreed / self.samples if classes else None,
            "top1_float": 100 * self.correct_float / self.samples if classes and labelled else None,
            "top1_quantized": 100 * self.correct_quantized / self.samples if classes and labelled else None,
        }
