"""The errors of one output of the quantized model, accumulated batch by batch in double precision.

The figures depend on the type of the output:

- floats: SQNR, cosine, mean and largest error;
- 8- and 16-bit integers, which hold quantities such as grey levels: the same, and agreement. Their signal is what
  differs from its mean, since the zero of such a scale is arbitrary;
- wider integers: agreement, mean and largest error in the output's own unit;
- booleans and strings: agreement.

Positions at which the float model's value is NaN, infinite or a mask such as -3.4e38 count in `nonfinite_agreement`
and in no other figure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.evaluation.channel_groups import ChannelGroups
from quant.evaluation.output_pairs import (
    IncomparableError,
    Pair,
    is_float,
    is_narrow_integer,
    paired,
    same_specials,
    special_positions,
    type_name,
)
from quant.evaluation.sample_energies import SampleEnergies
from quant.evaluation.sqnr import sqnr_db

RANDOM = "the output depends on random numbers, which differ in every run"
"""The reason why an output of a model that draws random numbers has no figures."""
ONLY_QUANTIZED = "only the quantized model is NaN or infinite"
"""The beginning of the reason why an output has no SQNR where the float model's values are finite."""


@dataclass
class OutputErrors:
    """Running sums over one output of both models.

    Attributes:
        name: the output's name.
        dtype: the type of its values; empty before the first batch.
        quantity: True if the values are floats, or 8- and 16-bit integers.
        floats: True if the values are floats.
        numeric: True if the values are numbers.
        total: sum of the float model's values.
        energy, quantized_energy: sum of squares of the float and of the quantized model's values.
        product: inner product of both.
        noise: energy of their difference.
        absolute, largest: sum and maximum of the absolute differences.
        compared: number of positions that these sums cover.
        elements: number of all positions.
        equal: positions with equal values; integers, booleans and strings only.
        special, special_same: positions that are no quantities in the float model, and those that are the same in both.
        unbounded: positions at which only the quantized model's value is NaN or infinite.
        incomparable: why the output cannot be compared position by position; None if it can.
        channels: the sums over groups of channels; None if they are not needed.
        samples: the energies of single samples; None if they are not needed.
    """

    name: str
    dtype: str = ""
    quantity: bool = False
    floats: bool = False
    numeric: bool = False
    total: float = 0.0
    energy: float = 0.0
    quantized_energy: float = 0.0
    product: float = 0.0
    noise: float = 0.0
    absolute: float = 0.0
    largest: float = 0.0
    compared: int = 0
    elements: int = 0
    equal: int = 0
    special: int = 0
    special_same: int = 0
    unbounded: int = 0
    incomparable: str | None = None
    channels: ChannelGroups | None = None
    samples: SampleEnergies | None = None

    def add(self, expected: Any, actual: Any) -> None:
        """Add one batch; values as in `quant.evaluation.output_pairs`."""
        self.dtype = self.dtype or type_name(expected)
        if self.incomparable is not None:
            return
        try:
            pairs = list(paired(expected, actual))
        except IncomparableError as difference:
            self.incomparable = self.incomparable or str(difference)
            return
        for pair in pairs:
            self._add_pair(pair)

    def _add_pair(self, pair: Pair) -> None:
        expected = pair[0]
        self.floats, self.numeric = is_float(expected), expected.dtype.kind in "fiu"
        self.quantity = self.floats or is_narrow_integer(expected)
        self.elements += expected.size
        if self.channels is not None and self.floats:
            self.channels.add(*pair)
        if self.samples is not None and self.floats:
            self.samples.add(*pair)
        if not self.floats:
            self.equal += int(np.count_nonzero(expected == pair[1]))
        if self.numeric:
            self._add_numbers(*(side.astype(np.float64).reshape(-1) for side in pair))

    def _add_numbers(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        special = special_positions(x, y) if self.floats else None
        if special is not None:
            self.special += int(special.sum())
            self.special_same += same_specials(x[special], y[special])
            x, y = x[~special], y[~special]
        finite = np.isfinite(y)
        if not finite.all():
            self.unbounded += int(np.count_nonzero(~finite))
            x, y = x[finite], y[finite]
        self.compared += x.size
        difference = x - y
        self.total += float(x.sum())
        self.energy += float(x @ x)
        self.quantized_energy += float(y @ y)
        self.product += float(x @ y)
        self.noise += float(difference @ difference)
        if x.size:
            np.abs(difference, out=difference)
            self.absolute += float(difference.sum())
            self.largest = max(self.largest, float(difference.max()))

    @property
    def signal(self) -> float:
        """The energy of the float model's values; for integers, that of their differences from the mean."""
        if self.floats or not self.compared:
            return self.energy
        return max(self.energy - self.total**2 / self.compared, 0.0)

    @property
    def judged(self) -> bool:
        """True if the output has an SQNR, or would have one if the quantized model's values were finite."""
        return self.quantity and self.incomparable is None and self.compared + self.unbounded > 0

    @property
    def identical(self) -> bool:
        """True if both models' values are the same at every position."""
        if self.incomparable is not None or not self.elements:
            return False
        if not self.floats:
            return self.equal == self.elements
        return self.noise == 0 and self.unbounded == 0 and self.special == self.special_same

    @property
    def sqnr_db(self) -> float | None:
        """The SQNR in dB, 200 without noise and minus infinity without a bound; None if the output has none."""
        if not self.judged:
            return None
        return ratio_db([self])

    @property
    def agreement(self) -> float | None:
        """The share of positions with equal values; None for floats and without positions."""
        if self.floats or self.incomparable is not None or not self.elements:
            return None
        return self.equal / self.elements

    @property
    def reason(self) -> str | None:
        """Why the output lacks the SQNR or the cosine; None if it has both."""
        if self.incomparable is not None:
            return self.incomparable
        if not self.elements:
            return "the output has no elements on these samples"
        if not self.quantity:
            return f"values of type {self.dtype} are compared by agreement, not as quantities"
        if self.unbounded:
            return f"{ONLY_QUANTIZED} at {self.unbounded} of {self.elements} positions"
        if not self.compared:
            return "no value of the float model is finite"
        if self.sqnr_db == -math.inf:
            return "the float model's output is constant on these samples"
        return "there is no cosine: all values of one model are zero" if cosine_of([self]) is None else None

    def as_dict(self, samples: int) -> dict[str, Any]:
        """Return the report's entry; errors are in the output's own unit, and a figure that cannot be formed is None.

        Args:
            samples: the number of samples that were compared.
        """
        sqnr, errors = self.sqnr_db, self.incomparable is None and self.compared > 0
        cosine = cosine_of([self]) if self.judged else None
        return {
            "name": self.name,
            "dtype": self.dtype,
            "samples": samples,
            "sqnr_db": None if sqnr is None or math.isinf(sqnr) else sqnr,
            "cosine": cosine,
            "identical": self.identical,
            "agreement": self.agreement,
            "mean_error": self.absolute / self.compared if errors else None,
            "max_error": self.largest if errors else None,
            "finite_fraction": 1 - self.special / self.elements if self.floats and self.elements else None,
            "nonfinite_agreement": self.special_same / self.special if self.special else None,
            "reason": self.reason,
        }


def ratio_db(outputs: Sequence[OutputErrors]) -> float:
    """Return the SQNR of several outputs together in dB, between minus infinity and 200.

    It is minus infinity where the quantized model alone is not finite, or where there is noise without a signal.
    """
    noise, signal = sum(output.noise for output in outputs), sum(output.signal for output in outputs)
    if any(output.unbounded for output in outputs) or not math.isfinite(noise) or (noise > 0 and not signal > 0):
        return -math.inf
    return sqnr_db(signal, noise)


def cosine_of(outputs: Sequence[OutputErrors]) -> float | None:
    """Return the cosine similarity of several outputs together; None if one side is all zeros."""
    signal, quantized = (sum(getattr(output, side) for output in outputs) for side in ("energy", "quantized_energy"))
    energy = math.sqrt(signal) * math.sqrt(quantized)
    product = sum(output.product for output in outputs)
    return product / energy if 0 < energy < math.inf else None
