"""How the loops are compiled, and how they are spread over threads."""

import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.core import config
from numpy.typing import NDArray

SLICES_A_THREAD = 4
LEAST_ROWS = 16


def _target() -> str:
    """A processor that every machine of the kind can stand in for: code cached on one machine then runs on another."""
    if platform.machine() != "x86_64":
        return "generic"
    features = llvm.get_host_cpu_features()
    return "x86-64-v3" if all(features.get(name) for name in ("avx2", "fma", "bmi2")) else "x86-64"


vars(config).update(CPU_NAME=_target(), CPU_FEATURES="")
THREADS: int = vars(config)["NUMBA_NUM_THREADS"]
compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
"""For what Python calls: kept in the cache."""
inner = numba.njit(nogil=True, error_model="numpy")
"""For what only compiled code calls: kept inside its callers."""
reordered = numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})
"""The same for sums whose order is the compiler's: one order, since the processor that it compiles for is one."""
Array = NDArray[Any]


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS)


def over_rows(loop: Callable[..., None], rows: int, *arguments: Any) -> None:
    """Call `loop(first, last, *arguments)` for slices of the rows, in as many threads as the process may use.

    A loop writes to its own rows only, so that what it gives does not depend on the slices.
    """
    width = max(-(-rows // (SLICES_A_THREAD * THREADS)), LEAST_ROWS)
    if rows <= width:
        loop(0, rows, *arguments)
        return
    slices = [_threads().submit(loop, at, min(at + width, rows), *arguments) for at in range(0, rows, width)]
    for one in slices:
        one.result()
