"""A clock of a process that can be set ahead or back while the process runs (`clock.c`)."""

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class Clock:
    """The time of day of processes that are started with `environment`: the right one until `set` is called."""

    def __init__(self, folder: Path, compiler: str) -> None:
        self._library, self._offset = folder / "clock.so", folder / "offset"
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", self._library, SOURCE], check=True)
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that give a process this clock."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFFSET": str(self._offset)}

    def set(self, seconds: int) -> None:
        """Set the clock so many seconds ahead, back if negative, in all processes that have it."""
        descriptor = os.open(self._offset, os.O_WRONLY | os.O_CREAT)
        os.pwrite(descriptor, seconds.to_bytes(8, "little", signed=True), 0)
        os.close(descriptor)


def clock(folder: Path) -> Clock | None:
    """Return a clock with its files in `folder`; None without a C compiler."""
    compiler = shutil.which("cc")
    return None if compiler is None else Clock(folder, compiler)
