"""The tree of errors at the top of a module is the tree in the code."""

import re
from pathlib import Path

import pytest

import jobs.errors
import quant.errors
from quant.errors import QuantdError


def tree(root):
    for leaf in root.__subclasses__():
        yield leaf
        yield from tree(leaf)


ERRORS = sorted(set(tree(QuantdError)), key=lambda error: error.code)


def test_every_code_is_used_once():
    codes = [error.code for error in ERRORS if "code" in vars(error)]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("module", [quant.errors, jobs.errors])
def test_the_tree_at_the_top_is_the_tree_in_the_code(module):
    drawn = dict(re.findall(r"[├└]── (\w+) +([\w.]+)\n", Path(module.__file__).read_text() + "\n"))
    for name, code in drawn.items():
        assert getattr(module, name).code == code
    defined = {error.__name__ for error in ERRORS if error.__module__ == module.__name__}
    bases = {name for name in defined if name in ("ServiceError", "WorkerFailure")}
    assert defined - bases == set(drawn)
