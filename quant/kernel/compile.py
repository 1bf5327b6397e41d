"""The decorators that compile loops, and the threads that run them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numba
from numba.core import config
from numpy.typing import NDArray

from quant.kernel import cache

SLICES_A_THREAD = 4
"""Slices for each thread: more than one, because rows differ in cost."""
LEAST_ROWS = 16
"""Rows of the smallest slice."""

cache.use()
THREADS: int = vars(config)["NUMBA_NUM_THREADS"]
compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
"""The decorator of loops that Python calls; the machine code is cached on disk."""
inner = numba.njit(nogil=True, error_model="numpy")
"""The decorator of functions that only compiled code calls; their code is part of their callers'."""
reordered = numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})
"""As `inner`, for sums that the compiler may reorder to vectorise them.

The order, and so the result, depends only on the target processor, which `cache.target` fixes.
"""
Array = NDArray[Any]
"""An array of a compiled loop; numba knows its dtype from the arguments."""


@lru_cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS)


def over_rows(loop: Callable[..., None], rows: int, *arguments: Any) -> None:
    """Call `loop(first, last, *arguments)` for slices of the rows, in as many threads as the process may use.

    A loop writes to its own rows only, so the results do not depend on the slices.
    """
    width = max(-(-rows // (SLICES_A_THREAD * THREADS)), LEAST_ROWS)
    if rows <= width:
        loop(0, rows, *arguments)
        return
    futures = [_threads().submit(loop, at, min(at + width, rows), *arguments) for at in range(0, rows, width)]
    for future in futures:
        future.result()
