"""scipy's special functions for compiled code: the addresses that scipy gives to Cython, under names of our own."""

import math
from typing import Any

import llvmlite.binding as llvm
from numba import types
from numba.extending import get_cython_function_address
from scipy.special import cython_special

from quant.kernel.compile import inner


def _function(name: str, arguments: int) -> Any:
    """The double version, by symbol: cached code is linked to it again wherever it is loaded."""
    exported = cython_special.__pyx_capi__
    spellings = (name, f"__pyx_fuse_0{name}", f"__pyx_fuse_1{name}")
    wanted = f'"double ({"double, " * arguments}int'
    found = next(spelling for spelling in spellings if spelling in exported and wanted in str(exported[spelling]))
    symbol = f"quantd_{name}"
    llvm.add_symbol(symbol, get_cython_function_address("scipy.special.cython_special", found))
    return types.ExternalFunction(symbol, types.float64(*[types.float64] * arguments, types.int32))


betainc = _function("betainc", 3)
gammaincc = _function("gammaincc", 2)
gammainccinv = _function("gammainccinv", 2)
psi = _function("psi", 1)
stdtrit = _function("stdtrit", 2)
ndtri = _function("ndtri", 1)
"""Each takes one more argument, which is 0: whether Cython may call a Python override."""


@inner
def trigamma(x: float) -> float:
    """The second derivative of log Gamma for x > 0: Abramowitz and Stegun (1964), 6.4.12 after 6.4.6."""
    total = 0.0
    while x < 8.0:
        total += 1 / (x * x)
        x += 1
    r = 1 / (x * x)
    series = r * (1 / 6 - r * (1 / 30 - r * (1 / 42 - r * (1 / 30 - r * 5 / 66))))
    return total + 1 / x + r / 2 + series / x


@inner
def log_beta_half(a: float) -> float:
    """log Gamma(a + 1/2) - log Gamma(a)."""
    return math.lgamma(a + 0.5) - math.lgamma(a)
