"""Where compiled loops are kept: beside their sources, where an installed service may only read."""

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


def target() -> str:
    """A processor that every machine of the kind can stand in for: code cached on one machine then runs on another."""
    if platform.machine() != "x86_64":
        return "generic"
    features = llvm.get_host_cpu_features()
    return "x86-64-v3" if all(features.get(name) for name in ("avx2", "fma", "bmi2")) else "x86-64"


class BesideTheSources(InTreeCacheLocator):
    """A folder for each target and each state of all of the package's sources: loops are inlined across its files.

    Unlike numba's own it need not be writable once it is filled. Where it is neither, loops are compiled into a
    fresh folder each time: never into one that a job's files could have been put in.
    """

    def __init__(self, function: Callable[..., None], file: str) -> None:
        super().__init__(function, file)  # type: ignore[no-untyped-call]
        self._cache_path = str(_filled() if _usable(_filled()) else _fresh())

    @classmethod
    def from_function(cls, function: Callable[..., None], file: str) -> Self | None:
        return cls(function, file) if Path(file).parent == HERE else None

    def get_source_stamp(self) -> str:
        return _sources()


@cache
def _sources() -> str:
    return sha256(b"".join(path.read_bytes() for path in sorted(HERE.glob("*.py")))).hexdigest()[:16]


@cache
def _usable(folder: Path) -> bool:
    """Whether the folder holds every loop, or can be made and filled: by trial, since a sandbox does not tell."""
    if (folder / COMPLETE).exists():
        return True
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def complete() -> None:
    """Say of the folder that nothing is left to compile into it."""
    filled = _filled()
    if filled.is_dir():
        (filled / COMPLETE).touch()


def _filled() -> Path:
    return HERE / "__pycache__" / f"{target()}-{_sources()}"


@cache
def _fresh() -> Path:
    return Path(tempfile.mkdtemp(prefix="loops-"))


def use() -> None:
    """Compile for the target and look here first; elsewhere for functions that are not the package's."""
    usual = "UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator,IPythonCacheLocator"
    locators = vars(config)["CACHE_LOCATOR_CLASSES"] or usual
    ours = f"{__name__}.{BesideTheSources.__name__}"
    vars(config).update(CPU_NAME=target(), CPU_FEATURES="", CACHE_LOCATOR_CLASSES=f"{ours},{locators}")
