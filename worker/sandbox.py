"""Give up what a job does not need, then become it: `python -m worker.sandbox MEMORY CPU FILE_SIZE -- COMMAND...`.

Limits are in bytes and seconds. Run in the process that will be the job: limits that hold for all of its
children, no new privileges, and death with the worker.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def main() -> None:
    memory, cpu, file_size = (int(argument) for argument in sys.argv[1:4])
    command = sys.argv[5:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
