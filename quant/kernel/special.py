"""scipy's special functions for compiled code, linked by the addresses that scipy exports to Cython."""

import math
from typing import Any

import llvmlite.binding as llvm
from numba import types
from numba.extending import get_cython_function_address
from scipy.special import cython_special

from quant.kernel.compile import inner


def _function(name: str, arguments: int) -> Any:
    """Return the double-precision version of a scipy function for calls from compiled code.

    It is registered under a symbol, not an address, because cached code is linked anew in every process.
    """
    exported = cython_special.__pyx_capi__
    spellings = (name, f"__pyx_fuse_0{name}", f"__pyx_fuse_1{name}")
    signature = f'"double ({"double, " * arguments}int'
    symbol_in_scipy = next(
        spelling for spelling in spellings if spelling in exported and signature in str(exported[spelling])
    )
    symbol = f"quantd_{name}"
    llvm.add_symbol(symbol, get_cython_function_address("scipy.special.cython_special", symbol_in_scipy))
    return types.ExternalFunction(symbol, types.float64(*[types.float64] * arguments, types.int32))


betainc = _function("betainc", 3)
gammaincc = _function("gammaincc", 2)
gammainccinv = _function("gammainccinv", 2)
psi = _function("psi", 1)
stdtrit = _function("stdtrit", 2)
ndtri = _function("ndtri", 1)
"""Each takes one more argument than in scipy: 0, Cython's flag for skipping a Python override."""


@inner
def trigamma(x: float) -> float:
    """Return the second derivative of log Gamma at x > 0.

    The recurrence 6.4.6 raises x to 8 or more, where the asymptotic series 6.4.12 holds (Abramowitz and Stegun 1964).
    """
    total = 0.0
    while x < 8.0:
        total += 1 / (x * x)
        x += 1
    r = 1 / (x * x)
    series = r * (1 / 6 - r * (1 / 30 - r * (1 / 42 - r * (1 / 30 - r * 5 / 66))))
    return total + 1 / x + r / 2 + series / x


@inner
def log_beta_half(a: float) -> float:
    """Return log Gamma(a + 1/2) - log Gamma(a)."""
    return math.lgamma(a + 0.5) - math.lgamma(a)
