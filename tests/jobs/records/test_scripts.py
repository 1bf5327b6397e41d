"""Every script is a file whose names are those that Python uses."""

from importlib.resources import files
from typing import get_args

import pytest

from jobs import redis_keys
from jobs.records.scripts import ScriptName, script

NAMES = get_args(ScriptName)


@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_left_to_replace(name):
    assert "'$" not in script(name)
    assert redis_keys.OPEN in script(name)


def test_every_file_is_a_script_or_the_prelude():
    stored = {path.name.removesuffix(".lua") for path in (files("jobs.records") / "lua").iterdir()}
    assert stored == {*NAMES, "prelude"}
