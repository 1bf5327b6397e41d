"""`python -m worker.forking [--preload]`: the process that starts those of jobs, each in milliseconds by a fork.

Standard input is a Unix socket of messages. `{"start": ...}` comes with the three standard files of the new process; it
enters the sandbox and becomes the command that is named, or without one runs the quantizer, whose imports are done here
once (`--preload`). `{"reap": pid}` asks how one has ended. No job's bytes ever come here, and no secrets are here. It
ends with its worker, and the processes that it started end with it.
"""

import gc
import json
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from worker.sandbox import ENVIRONMENT, confine

MAX_MESSAGE = 1 << 17


def main() -> None:
    preloaded = "--preload" in sys.argv[1:]
    if preloaded:
        gc.disable()  # as in `quant.__main__`
        from quant import process

        process.load()
    asked = socket.socket(fileno=os.dup(0))
    while True:
        message, files, _, _ = socket.recv_fds(asked, MAX_MESSAGE, 3)
        if not message:
            return
        request = json.loads(message)
        answer = [_start(request["start"], files, asked)] if "start" in request else _reap(request["reap"])
        asked.send(json.dumps(answer).encode())


def _reap(pid: int) -> list[int]:
    """Its status as `subprocess` has it, and the most bytes that it had resident; nothing while it runs."""
    ended, status, usage = os.wait4(pid, os.WNOHANG)
    return [os.waitstatus_to_exitcode(status), 1024 * usage.ru_maxrss] if ended else []


def _start(request: dict[str, Any], files: list[int], asked: socket.socket) -> int:
    """The new process's id; it is kept for it until it is reaped."""
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        asked.close()
        _become(request, files, parent)
    for file in files:
        os.close(file)
    return pid


def _become(request: dict[str, Any], files: list[int], parent: int) -> NoReturn:
    status = 1
    try:
        os.setsid()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        reached = confine(Path(request["folder"]), *request["bounds"], parts=request["isolation"])
        os.environ[ENVIRONMENT] = " ".join(reached)
        if os.getppid() != parent:
            raise ProcessLookupError("the parent has ended before it could take this process along")
        if request["command"]:
            os.execv(request["command"][0], request["command"])
        from quant import process

        status = process.serve()
    except BaseException:  # noqa: BLE001 - whatever it is, this process is not to go on as its parent does
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
