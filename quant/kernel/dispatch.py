"""Calls to the compiled loops of `quant.kernel` by name, so that importing this module loads none of them.

Loading all loops takes about as long as NumPy takes for a small model, so small models use NumPy instead.
"""

import sys
from pkgutil import resolve_name
from typing import Any

WARM_UP = "quant.warm_up"
"""The module that loads every loop."""
FAMILIES = ("gaussian", "laplace", "student_t", "generalized_gaussian")
"""The distribution families that the loops know; a family's index is its code in a loop's arguments."""
ROWS_THAT_PAY, WEIGHTS_A_ROW = 1000, 90_000
"""Loading the loops takes as long as NumPy takes for 1000 rows; a row costs NumPy as much as 90 000 weights."""


def load() -> None:
    """Load all loops ahead of the models that will need them."""
    resolve_name(f"{WARM_UP}:load_all")()


def loaded() -> bool:
    """Return True if all loops are loaded already."""
    return WARM_UP in sys.modules


def pay(rows: int, weights: int) -> bool:
    """Return True if loading the loops saves time for a model with this number of rows and weights."""
    return rows + weights // WEIGHTS_A_ROW >= ROWS_THAT_PAY


def run(name: str, rows: int, *arguments: Any) -> None:
    """Run a loop, such as "fits:fit_rows", over `rows` rows in as many threads as the process may use."""
    resolve_name("quant.kernel.compile:over_rows")(resolve_name(f"quant.kernel.{name}"), rows, *arguments)
