"""The public names of the library: all of them load, and none is loaded before it is used."""

import subprocess
import sys

import pytest

import quant

HEAVY = ("numpy", "onnx", "onnx_ir", "onnxruntime", "scipy", "torch", "numba", "pydantic")


@pytest.mark.parametrize("name", quant.__all__)
def test_every_public_name_can_be_loaded(name):
    assert getattr(quant, name) is not None


def test_the_list_of_public_names_is_sorted_and_complete():
    assert quant.__all__ == sorted(quant.__all__, key=lambda name: (name.islower(), name))
    assert set(quant.__all__) == set(quant._MODULES)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'quant' has no attribute 'quantise_model'"):
        quant.quantise_model  # noqa: B018


def test_importing_the_package_loads_no_numerics():
    code = f"import sys, quant; print([name for name in {HEAVY} if name in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_openblas_does_not_wait_in_a_loop():
    code = "import os, quant; print(os.environ['OPENBLAS_THREAD_TIMEOUT'])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={})
    assert process.stdout.strip() == "20"


def test_onnxruntime_keeps_no_record_of_its_use(tmp_path):
    code = "from quant.runtime import Session; Session('examples/digits.onnx')"
    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name.lower()]
