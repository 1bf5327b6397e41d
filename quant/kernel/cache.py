"""The on-disk cache of compiled loops: beside their sources, where an installed service may only read."""

import platform
import tempfile
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Self

import llvmlite.binding as llvm
from numba.core import config
from numba.core.caching import InTreeCacheLocator

HERE = Path(__file__).parent
COMPLETE = "complete"
"""The name of the file that marks a cache folder as complete."""


def target() -> str:
    """Return the LLVM name of a processor whose code runs on every machine of this kind.

    A cache that was filled on one machine, such as a container image's, then serves another.
    """
    if platform.machine() != "x86_64":
        return "generic"
    features = llvm.get_host_cpu_features()
    return "x86-64-v3" if all(features.get(name) for name in ("avx2", "fma", "bmi2")) else "x86-64"


class BesideTheSources(InTreeCacheLocator):
    """A numba cache folder for each target and each state of all sources of the package.

    The key covers all sources, because loops are inlined across files. Unlike the folder of numba's own locator, a
    complete folder need not be writable. If the folder is neither complete nor writable, loops are compiled into a
    fresh temporary folder, never into a folder in which a job could have placed files.
    """

    def __init__(self, function: Callable[..., None], file: str) -> None:
        super().__init__(function, file)  # type: ignore[no-untyped-call]
        self._cache_path = str(_target_folder() if _usable(_target_folder()) else _fresh())

    @classmethod
    def from_function(cls, function: Callable[..., None], file: str) -> Self | None:
        """Return a locator for a function of this package, None for any other function."""
        return cls(function, file) if Path(file).parent == HERE else None

    def get_source_stamp(self) -> str:
        """Return the digest of all sources of the package, in hexadecimal."""
        return _sources()


@cache
def _sources() -> str:
    return sha256(b"".join(path.read_bytes() for path in sorted(HERE.glob("*.py")))).hexdigest()[:16]


@cache
def _usable(folder: Path) -> bool:
    """Return True if the folder is complete or can be created and written to.

    It tries to write, because the permissions say nothing about the limits of a sandbox.
    """
    if (folder / COMPLETE).exists():
        return True
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def complete() -> None:
    """Mark the cache folder as complete: every loop has been compiled into it."""
    folder = _target_folder()
    if folder.is_dir():
        (folder / COMPLETE).touch()


def _target_folder() -> Path:
    return HERE / "__pycache__" / f"{target()}-{_sources()}"


@cache
def _fresh() -> Path:
    return Path(tempfile.mkdtemp(prefix="loops-"))


def use() -> None:
    """Configure numba: compile for `target` and cache this package's loops with `BesideTheSources`."""
    defaults = "UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator,IPythonCacheLocator"
    locators = vars(config)["CACHE_LOCATOR_CLASSES"] or defaults
    ours = f"{__name__}.{BesideTheSources.__name__}"
    vars(config).update(CPU_NAME=target(), CPU_FEATURES="", CACHE_LOCATOR_CLASSES=f"{ours},{locators}")
