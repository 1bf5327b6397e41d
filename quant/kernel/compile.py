"""How the loops are compiled, and how they are spread over threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numba
from numba.core import config
from numpy.typing import NDArray

from quant.kernel import cache

SLICES_A_THREAD = 4
LEAST_ROWS = 16


cache.use()
THREADS: int = vars(config)["NUMBA_NUM_THREADS"]
compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
"""For what Python calls: kept in the cache."""
inner = numba.njit(nogil=True, error_model="numpy")
"""For what only compiled code calls: kept inside its callers."""
reordered = numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})
"""The same for sums whose order is the compiler's: one order, since the processor that it compiles for is one."""
Array = NDArray[Any]


@lru_cache
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
