"""Artifacts of an untrusted process are published only if they are valid."""

import hashlib
import json
import os

import pytest

from jobs.errors import WorkerCrashed
from quant.outcome.artifacts import ARTIFACTS
from worker.artifacts import collect

NAMES = [kind.name for kind in ARTIFACTS if kind.always]
ISOLATION = ("landlock_7", "seccomp")
INPUTS = {"model": "ab" * 32}


def digest(data):
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


@pytest.fixture
def out(tmp_path):
    """A folder as an honest process leaves it."""
    folder = tmp_path / "out"
    folder.mkdir()
    contents = {name: name.encode() for name in NAMES}
    contents["report.json"] = json.dumps({"summary": {}, "layers": [{"name": "conv1"}]}).encode()
    del contents["manifest.json"]
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    change(folder, inputs={"model": {"sha256": INPUTS["model"], "size": 5}}, isolation=ISOLATION,
           artifacts=[{"name": name, **digest(data)} for name, data in contents.items()])  # fmt: skip
    return folder


def change(folder, **fields):
    path = folder / "manifest.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(document | fields))


def test_valid_artifacts_are_published(out):
    made = collect(out, INPUTS, ISOLATION)
    assert [file.name for file in made] == NAMES
    for file in made:
        data = file.path.read_bytes()
        assert (file.sha256, file.size) == (hashlib.sha256(data).hexdigest(), len(data))


def add_weights(out):
    (out / "model.onnx.data").write_bytes(b"weights")
    listed = json.loads((out / "manifest.json").read_text())["artifacts"]
    change(out, artifacts=[*listed, {"name": "model.onnx.data", **digest(b"weights")}])


def test_the_weights_of_a_large_model_are_published_beside_it(out):
    add_weights(out)
    made = {file.name: file for file in collect(out, INPUTS, ISOLATION)}
    assert made["model.onnx.data"].sha256 == digest(b"weights")["sha256"]
    assert set(made) == {*NAMES, "model.onnx.data"}


def test_other_files_are_ignored(out):
    (out / "more").write_text("x")
    assert "more" not in [file.name for file in collect(out, INPUTS, ISOLATION)]


def replace(out, name, make):
    (out / name).unlink()
    make(out / name)


ATTACKS = {
    "missing": lambda out: (out / "model.onnx").unlink(),
    "link": lambda out: replace(out, "model.onnx", lambda path: path.symlink_to("/etc/passwd")),
    "link_inside": lambda out: replace(out, "report.html", lambda path: path.symlink_to("model.onnx")),
    "hard_link": lambda out: replace(out, "report.html", lambda path: path.hardlink_to(out / "model.onnx")),
    "folder": lambda out: replace(out, "model.onnx", lambda path: path.mkdir()),
    "pipe": lambda out: replace(out, "model.onnx", os.mkfifo),
    "other_bytes": lambda out: (out / "model.onnx").write_bytes(b"other"),
    "more_artifacts": lambda out: change(out, artifacts=[]),
    "unnamed_weights": lambda out: (out / "model.onnx.data").write_bytes(b"weights"),
    "named_weights_are_missing": lambda out: (add_weights(out), (out / "model.onnx.data").unlink()),
    "linked_weights": lambda out: (out / "model.onnx.data").symlink_to("/etc/passwd"),
    "other_inputs": lambda out: change(out, inputs={}),
    "other_isolation": lambda out: change(out, isolation=["none"]),
    "no_json": lambda out: (out / "manifest.json").write_text("{"),
    "deep_json": lambda out: (out / "report.json").write_text("[" * 100_000),
    "nan": lambda out: (out / "report.json").write_text('{"summary": {"seconds": NaN}, "layers": []}'),
    "other_report": lambda out: (out / "report.json").write_text('{"summary": {}, "layers": [1]}'),
    "no_utf_8": lambda out: (out / "report.json").write_bytes(b"\xff\xfe{}"),
    "large": lambda out: os.truncate(out / "report.json", 65 << 20),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_invalid_artifact_is_refused(out, attack):
    attack(out)
    with pytest.raises(WorkerCrashed, match=r"the job ended and \S+ "):
        collect(out, INPUTS, ISOLATION)


def test_a_folder_that_is_a_link_is_refused(out, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(out)
    with pytest.raises(WorkerCrashed, match="is not a folder"):
        collect(link, INPUTS, ISOLATION)
