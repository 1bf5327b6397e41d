"""An archive is unpacked into its folder and nowhere else, or refused before it costs anything."""

import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from quant.errors import UnreadableModel, UnsafeModel
from quant.graph.load.archive import MIN_SIZE_LIMIT
from quant.graph.load.onnx_file import load
from tests.quant.graph.load.archives import EVERY_KIND, MODEL, external_model, tarred, zipped


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
