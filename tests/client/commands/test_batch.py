"""`quantd batch` against a running service: files are uploaded once, results shown and written."""

import json

import quantd
from tests import command
from tests.specs import QUICK, UNTIMED


def test_a_batch_of_files_is_quantized_and_written(stack, examples, tmp_path):
    (tmp_path / "m.onnx").write_bytes((examples / "digits.onnx").read_bytes())
    (tmp_path / "spec.yml").write_text(json.dumps({**QUICK, **UNTIMED, "gates": {"max_size_ratio": 0.01}}))
    batch = {"models": ["m.onnx"], "specs": ["spec.yml", {**QUICK, **UNTIMED, "seed": 1}], "tags": {"by": "batch"}}
    file = tmp_path / "batch.yml"
    file.write_text(json.dumps(batch))
    ended = command.quantd("batch", file, "-o", tmp_path / "out", "--json", QUANTD_URL=stack.url)
    assert ended.returncode == 2, ended.stderr
    document = json.loads(ended.stdout)
    assert (document["status"], document["verdict"], document["tags"]) == ("succeeded", "fail", {"by": "batch"})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["001-m.onnx", "002-m.onnx"]
    shown = command.quantd("batch", file, QUANTD_URL=stack.url)
    assert (shown.returncode, shown.stdout.count("int8-weights"), "fail" in shown.stdout) == (2, 2, True)

    file.write_text(json.dumps({"jobs": [{"model": "none.onnx"}]}))
    missing = command.quantd("batch", file, QUANTD_URL=stack.url)
    assert (missing.returncode, "none.onnx: there is no such file" in missing.stderr) == (3, True)
    with quantd.Client(stack.url) as client:
        found = client.find_batch(document["id"])
        assert (found.wait().verdict, found.cancel().status, len(found.jobs)) == ("fail", "succeeded", 2)
        found.delete()
    assert quantd.__version__
