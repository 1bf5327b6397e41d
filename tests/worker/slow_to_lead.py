"""An entry module like `scripted`, whose forks are slow to become the leaders of their process groups."""

import os
import time

from scripted import main as main

_setsid = os.setsid


def load() -> None:
    os.setsid = _late


def _late() -> None:
    time.sleep(0.3)
    _setsid()
