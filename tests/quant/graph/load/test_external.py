"""External data is read from beside the model only."""

import resource
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from quant.errors import MissingExternalData, UnreadableModel, UnsafeModel
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from tests.quant.graph.load.archives import MODEL, WEIGHT, external_model, zipped
from tests.quant.graph.models import model_of, random_tensor


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "a/../../w", "c:w", "..\\w"])
def test_external_data_outside_the_folder_is_refused(unpacked, location):
    with pytest.raises(UnsafeModel, match="outside the model's folder"):
        load(unpacked(zipped([("m.onnx", external_model(location)), MODEL[1]])))


def test_external_data_behind_a_link_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_bytes(external_model())
    (tmp_path / "secret").write_bytes(WEIGHT.tobytes())
    (tmp_path / "weights.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafeModel, match="link"):
        load(tmp_path / "m.onnx")
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "w").write_bytes(WEIGHT.tobytes())
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "m.onnx").write_bytes(external_model("linked/w"))
    with pytest.raises(UnsafeModel, match="link"):
        load(tmp_path / "m.onnx")


def test_missing_external_data_says_what_to_upload(unpacked):
    with pytest.raises(MissingExternalData, match=r"'w'.*'weights.bin'.*a zip or tar of the model"):
        load(unpacked(zipped(MODEL[:1])))
    with pytest.raises(MissingExternalData, match=r"'w'.*'weights.bin'.*a zip or tar of the model"):
        load(external_model())


@pytest.mark.parametrize(
    "entries",
    [{"offset": "4"}, {"length": "99999"}, {"offset": "-1"}, {"length": "1e3"}, {"shape": "9"}, {"location": ""}],
)
def test_external_data_that_is_damaged_is_refused(unpacked, entries):
    model = external_model(**entries)
    with pytest.raises(UnreadableModel):
        load(unpacked(zipped([("folder/m.onnx", model), MODEL[1]])))


def test_a_location_that_is_no_text_is_refused():
    with pytest.raises(UnreadableModel, match="not UTF-8"):
        load(external_model().replace(b"weights.bin", b"weights\xffbin"))


@pytest.fixture
def few_files():
    """Fewer files than the models below have weights."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("few_files")
def test_a_model_may_have_more_weights_than_a_job_may_open_files(tmp_path):
    count, weight = 600, np.tile(WEIGHT[0], (64, 1))
    size = weight.nbytes
    (tmp_path / "weights.bin").write_bytes(weight.tobytes() * count)
    tensors = []
    for number in range(count):
        tensor = TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=weight.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": "weights.bin", "offset": number * size, "length": size}.items():
            tensor.external_data.add(key=key, value=str(value))
        tensors.append(tensor)
    names = ["x", *(f"h{number}" for number in range(count))]
    nodes = [helper.make_node("Add", [names[n], f"w{n}"], [names[n + 1]]) for n in range(count)]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 32])],
        [helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, ["N", 32])], tensors,
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    before = len(list(Path("/proc/self/fd").iterdir()))
    model = normalise(load(tmp_path / "m.onnx"))
    assert all((value.const_value.numpy() == weight).all() for value in model.graph.initializers.values())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_missing_external_data_names_the_weight_and_the_file():
    weight = random_tensor("w", 6, 5)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    with pytest.raises(MissingExternalData, match=r"'w'.*weights\.bin"):
        load(model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [weight], {"x": ["N", 6]}))
