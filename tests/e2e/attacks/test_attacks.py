"""Known attacks on services of this kind, tried on a job: each is refused or contained."""

import io
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from onnx import helper

from quant.texts import MOST_CHARACTERS
from tests.e2e.attacks import models
from tests.e2e.attacks.models import SECRET
from tests.e2e.attacks.modules import (
    HOSTILE,
    SIZE,
    ReadsWhenCalled,
    ReadsWhenLoaded,
    WritesWhenCalled,
    WritesWhenLoaded,
    archive,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
REFUSED = ("model.unsafe", "model.unreadable", "model.missing_external_data")
CONTAINED = ("worker.timeout", "model.invalid", "model.unreadable", "model.nothing_to_quantize", "worker.out_of_memory")
WHERE = ["{secret}", "./../secret", "../../../../{secret}", "/proc/self/environ"]


@pytest.mark.parametrize(("location", "packed"), [(where, number % 2 == 0) for number, where in enumerate(WHERE)])
def test_external_data_leaves_no_folder(run_job, secret, location, packed):
    model = models.external(location.format(secret=secret), length=64)
    end = run_job(models.zipped(**{"m.onnx": model}) if packed else model)
    assert end.code in REFUSED
    assert "accepted" in end.detail


@pytest.mark.parametrize("pack", [models.zipped, models.tarred])
def test_a_link_in_an_archive_is_not_followed(run_job, secret, pack):
    model = models.external("w.bin", length=24)
    assert run_job(pack({"w.bin": secret}, **{"m.onnx": model})).code == "model.unsafe"


@pytest.mark.parametrize(("pack", "name"), [(models.zipped, "../secret"), (models.tarred, "/tmp/secret")])
def test_a_member_of_an_archive_is_not_unpacked_outside(run_job, pack, name):
    assert run_job(pack(**{"m.onnx": models.perceptron(), name: b"overwritten"})).code == "model.unsafe"


def test_a_zip_bomb_is_not_unpacked(run_job):
    bomb = models.zipped(compression=zipfile.ZIP_DEFLATED, **{"m.onnx": models.perceptron(), "w": bytes(300 << 20)})
    assert len(bomb) < 1 << 20
    assert run_job(bomb).code == "model.unsafe"


def test_an_archive_that_is_allowed_and_too_large_for_the_disk_is_stopped(run_job):
    large = models.zipped(compression=zipfile.ZIP_DEFLATED, **{"m.onnx": models.perceptron(), "w": bytes(200 << 20)})
    assert run_job(large).code == "worker.out_of_disk"


@pytest.mark.parametrize("depth", [50, 5_000])
def test_deeply_nested_subgraphs_are_refused_cleanly(run_job, depth):
    assert run_job(models.nested(depth)).code in CONTAINED


@pytest.mark.parametrize("functions", [50, 3_000])
def test_functions_that_call_each_other_are_named_errors(run_job, functions):
    assert run_job(models.chained(functions)).code in ("model.nothing_to_quantize", "model.unsupported_operator")


@pytest.mark.parametrize("operator", ["MatMul", "Unknown"])
def test_a_name_of_two_megabytes_ends_in_no_crash(run_job, operator):
    end = run_job(models.named("n" * 2_000_000, operator))
    assert end.code in (None, "model.unsupported_operator", "model.invalid", "worker.out_of_disk")
    assert len(end.detail) <= MOST_CHARACTERS


def test_many_nodes_in_a_few_bytes_are_contained(run_job):
    assert run_job(models.crowded(100_000)).code in CONTAINED


def test_a_hundred_bytes_that_fold_to_gigabytes_are_contained(run_job):
    assert run_job(models.folding(1 << 30)).code in (None, *CONTAINED)


def test_a_graph_that_never_ends_is_stopped(children, run_job, monkeypatch):
    monkeypatch.setattr(children, "_limits", replace(children._limits, timeout_s=3))
    calibration = models.npz(x=np.zeros((8, 4), np.float32))
    assert run_job(models.endless(), calibration, {"preset": "int8"}).code == "worker.timeout"


def test_a_custom_operator_is_refused(run_job):
    model = models.onnx([helper.make_node("Magic", ["x"], ["y"], domain="acme")], domain="acme")
    assert run_job(model).code == "model.unsupported_operator"


def test_a_compiled_context_names_no_file(run_job, secret):
    node = helper.make_node(
        "EPContext", ["x"], ["y"], domain="com.microsoft", embed_mode=0, ep_cache_context=str(secret), main_context=1
    )
    assert run_job(models.onnx([node], domain="com.microsoft")).code.startswith("model.")


class Opens:
    def __reduce__(self):
        return (print, (SECRET.decode(),))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (models.hollow_npz(1 << 30), "worker.out_of_memory"),  # the gateway refuses it by its size
        (models.zipped(**{"x.npy": b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 0xFFFF}), "dataset.unreadable"),
        (models.zipped(**{"x.npy": pickle.dumps(Opens())}), "dataset.unreadable"),
        (models.npz(x=np.array([Opens()], dtype=object)), "dataset.unreadable"),
    ],
    ids=["hollow", "header", "pickle", "objects"],
)
def test_calibration_data_other_than_arrays_is_refused(run_job, data, code):
    assert run_job(models.perceptron(), data, {"preset": "int8"}).code == code


# Past what looks at uploads: the sandbox alone

READS = """
import sys
sys.stdin.readline()
try:
    {}
    print("done")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_onnx_runtime_itself_reads_no_file_outside(run_code, secret):
    code = """
    import onnxruntime
    session = onnxruntime.InferenceSession("model")
    print(session.run(None, {"x": __import__("numpy").eye(4, dtype="float32")}))"""
    told = run_code(READS.format(code.strip()), model=models.external(secret, length=64))
    assert "done" not in told
    assert SECRET not in told.encode()


LOADS = """
    import torch
    print(bytes(torch.jit.load("model")(torch.ones(1)).to(torch.uint8).tolist()))"""


@pytest.mark.parametrize("kind", HOSTILE)
def test_torchscript_accesses_no_file_in_the_sandbox(run_code, tmp_path, secret, kind):
    data = archive(kind, str(secret))
    told = run_code(READS.format(LOADS.strip()), model=data)
    assert SECRET not in told.encode()
    assert "Error" in told or kind in (WritesWhenCalled, WritesWhenLoaded)  # torch does not say that it cannot write


@pytest.mark.parametrize("kind", HOSTILE)
def test_torchscript_that_accesses_files_is_refused_before_it_is_opened(run_job, secret, kind):
    inputs = [{"name": "x", "shape": [1], "dtype": "float32"}]
    end = run_job(archive(kind, str(secret)), spec={"preset": "int8-weights", "torchscript": {"inputs": inputs}})
    assert end.code == "model.unsafe"


def test_these_modules_do_access_files_without_a_sandbox(tmp_path):
    """Check that the modules do access the file without a sandbox, so that the tests above prove something."""
    (tmp_path / "secret").write_bytes(SECRET)
    for kind in (ReadsWhenCalled, ReadsWhenLoaded):
        module = torch.jit.load(io.BytesIO(archive(kind, str(tmp_path / "secret"))))
        assert bytes(module(torch.ones(1)).tolist()) == SECRET[:SIZE]
    for kind in (WritesWhenCalled, WritesWhenLoaded):
        torch.jit.load(io.BytesIO(archive(kind, str(tmp_path / kind.__name__))))(torch.ones(1))
        assert (tmp_path / kind.__name__).exists()
