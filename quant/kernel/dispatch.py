"""The compiled loops of `quant.kernel`, by name: they take a moment to load, which small models do without where they
are not loaded yet."""

import sys
from pkgutil import resolve_name
from typing import Any

EVERY = "quant.warm_up"
FAMILIES = ("gaussian", "laplace", "student_t", "generalized_gaussian")
"""The families that the loops know, by their number there."""
ROWS_THAT_PAY, WEIGHTS_A_ROW = 1000, 90_000
"""NumPy takes as long as the loops take to load for so many rows; a row costs it as much as so many weights."""


def load() -> None:
    """Load all of them, ahead of the models that they are for."""
    resolve_name(f"{EVERY}:load_all")()


def loaded() -> bool:
    return EVERY in sys.modules


def pay(rows: int, weights: int) -> bool:
    """Whether the loops pay for a model of so many rows and weights."""
    return rows + weights // WEIGHTS_A_ROW >= ROWS_THAT_PAY


def run(name: str, rows: int, *arguments: Any) -> None:
    """Call a loop ("fits:fit_rows") over so many rows, in as many threads as the process may use."""
    resolve_name("quant.kernel.compile:over_rows")(resolve_name(f"quant.kernel.{name}"), rows, *arguments)
