"""Archives are unpacked into their folder and nowhere else, or refused before they cost anything."""

import gzip
import io
import resource
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.errors import MissingExternalData, UnreadableModel, UnsafeModel
from quant.graph.load.archive import MIN_SIZE_LIMIT
from quant.graph.load.onnx_file import load
from quant.graph.load.source import float_onnx, onnx_bytes
from quant.graph.normalise.normalise import normalise
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session

WEIGHT = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)


def external_model(location="weights.bin", **entries):
    """A MatMul whose weight lies in another file."""
    tensor = numpy_helper.from_array(WEIGHT, "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(WEIGHT.nbytes), **entries}.items():
        tensor.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 32])], [tensor],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def zipped(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(members, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tarred_gz(members):
    return tarred(members, "w:gz")


MODEL = [("folder/m.onnx", external_model()), ("folder/weights.bin", WEIGHT.tobytes())]
EVERY_KIND = pytest.mark.parametrize("pack", [zipped, tarred, tarred_gz])


@pytest.fixture
def unpacked(tmp_path):
    """The path of the ONNX file in an upload of these bytes."""

    def run(data):
        upload, folder = tmp_path / "upload", tmp_path / "folder"
        upload.write_bytes(data)
        folder.mkdir()
        return float_onnx(upload, folder)

    return run


@EVERY_KIND
def test_a_model_with_its_external_data_is_read_and_run(unpacked, pack):
    path = unpacked(pack([("folder/", b""), *MODEL] if pack is zipped else MODEL))
    model = load(path)
    np.testing.assert_array_equal(model.graph.initializers["w"].const_value.numpy(), WEIGHT)
    x = np.ones((3, 64), np.float32)
    np.testing.assert_allclose(Session(path).run({"x": x})[0], x @ WEIGHT, rtol=1e-4, atol=1e-4)
    assert onnx_bytes(path, model) == len(external_model()) + WEIGHT.nbytes


@EVERY_KIND
def test_an_archive_goes_the_whole_way(tmp_path, pack):
    upload, out = tmp_path / "upload", tmp_path / "out"
    upload.write_bytes(pack(MODEL))
    out.mkdir()
    np.savez(tmp_path / "e.npz", x=np.random.default_rng(1).normal(size=(16, 64)).astype(np.float32))
    spec = {"preset": "int8-weights"}
    outcome = quantize_model(Inputs(upload, "m.zip", spec, None, tmp_path / "e.npz"), out, lambda *_: None)
    assert outcome.summary.bytes_before == len(external_model()) + WEIGHT.nbytes
    assert outcome.summary.output_sqnr_db > 35
    assert not onnx.load(out / "model.onnx").graph.initializer[0].external_data


@EVERY_KIND
@pytest.mark.parametrize(
    "name", ["../m.onnx", "/tmp/m.onnx", "a/../../m.onnx", "a\\..\\m.onnx", "c:m.onnx", "a" * 2000]
)
def test_names_outside_the_folder_are_refused(unpacked, tmp_path, pack, name):
    before = sorted(tmp_path.parent.rglob("*"))
    with pytest.raises(UnsafeModel, match="does not lie in the archive's folder"):
        unpacked(pack([(name, external_model())]))
    assert [path for path in sorted(tmp_path.parent.rglob("*")) if path.name == "m.onnx"] == [
        path for path in before if path.name == "m.onnx"
    ]


@EVERY_KIND
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["m.onnx", "M.ONNX", "./m.onnx"])
def test_a_name_that_is_there_twice_is_refused(unpacked, pack, second):
    with pytest.raises(UnsafeModel, match="twice"):
        unpacked(pack([("m.onnx", external_model()), (second, external_model())]))


def test_links_in_a_zip_are_refused(unpacked):
    link = zipfile.ZipInfo("weights.bin")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UnsafeModel, match="link"):
        unpacked(zipped([("m.onnx", external_model()), (link, "/etc/passwd")]))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(unpacked, kind):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("weights.bin")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(UnsafeModel, match="link or device"):
        unpacked(buffer.getvalue())


def test_a_zip_bomb_is_refused_by_what_it_declares(unpacked, tmp_path):
    data = zipped([("m.onnx", bytes(MIN_SIZE_LIMIT + 1))], zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsafeModel, match=f"more than {MIN_SIZE_LIMIT} bytes"):
        unpacked(data)
    assert not list((tmp_path / "folder").iterdir())


@pytest.mark.parametrize("name", ["m.onnx", "pax"])
def test_a_tar_bomb_is_refused_by_what_it_declares(unpacked, tmp_path, name):
    info = tarfile.TarInfo(name)
    info.size = MIN_SIZE_LIMIT * 8
    if name == "pax":
        info.type = tarfile.XHDTYPE
    with pytest.raises((UnsafeModel, UnreadableModel)):
        unpacked(gzip.compress(info.tobuf() + bytes(1 << 20)))
    assert not list((tmp_path / "folder").iterdir())


def test_a_bomb_in_the_gzip_stream_is_refused_while_it_is_read(unpacked):
    """A pax header of 1 GB: tarfile would take it into memory before anybody sees a member."""
    info = tarfile.TarInfo("m.onnx")
    info.type, info.size = tarfile.XHDTYPE, MIN_SIZE_LIMIT * 4
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as stream:
        stream.write(info.tobuf())
        for _ in range(64):
            stream.write(bytes(MIN_SIZE_LIMIT // 16))
    with pytest.raises(UnsafeModel, match="unpacks to more than"):
        unpacked(buffer.getvalue())


def test_a_zip_member_that_is_larger_than_declared_is_refused(unpacked):
    data = bytearray(zipped([("m.onnx", external_model() * 100)], zipfile.ZIP_DEFLATED))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = (10).to_bytes(4, "little")
    with pytest.raises(UnreadableModel, match="cannot be read"):
        unpacked(bytes(data))


def test_too_many_members_are_refused(unpacked):
    with pytest.raises(UnsafeModel, match="members"):
        unpacked(tarred([(f"w{number}", b"") for number in range(10_001)]))


@EVERY_KIND
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("readme.txt", b"x")], "0 .onnx files"),
        ([("a.onnx", b"x"), ("b.onnx", b"y")], r"2 .onnx files \('a.onnx', 'b.onnx'\)"),
    ],
)
def test_anything_but_one_model_is_refused(unpacked, pack, members, message):
    with pytest.raises(UnreadableModel, match=message):
        unpacked(pack(members))


def test_what_macos_adds_to_an_archive_is_no_model(unpacked):
    assert load(unpacked(zipped([*MODEL, ("__MACOSX/folder/._m.onnx", b"\0")])))


@EVERY_KIND
def test_damaged_archives_are_refused(unpacked, pack):
    data = pack(MODEL)
    with pytest.raises(UnreadableModel, match="accepted: a zip or tar"):
        unpacked(data[:3000])


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
