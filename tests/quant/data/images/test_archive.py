"""Members and labels of archives, honest and hostile."""

import zipfile

import pytest

from quant.data.images import archive as module
from quant.data.images.archive import ImageArchive
from tests.quant.data.images.archives import archive

NAMES = ("b/2.png", "a/1.jpg", "c/x/0.webp", "a/0.BMP")


def opened(tmp_path, members):
    return ImageArchive(archive(tmp_path / "images.zip", members))


@pytest.mark.parametrize("folder", ["", "val/"])
def test_labels_are_the_numbers_of_the_sorted_folders(tmp_path, folder):
    images = opened(tmp_path, {folder + name: b"" for name in (*NAMES, ".DS_Store", "__MACOSX/._1.jpg")})
    assert images.names == [folder + name for name in sorted(NAMES)]
    assert images.labels().tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("names", [("0.png", "1.png"), ("all/0.png", "all/1.png")])
def test_without_folders_of_classes_there_are_no_labels(tmp_path, names):
    assert opened(tmp_path, dict.fromkeys(names, b"")).labels() is None


def test_labels_of_a_file_go_before_those_of_folders(tmp_path):
    rows = "\ufefffile,label,note\r\nb/2.png,7,x\r\na/1.jpg,0,\r\nc/x/0.webp, 3,\r\na/0.BMP,2,\r\n"
    images = opened(tmp_path, {"set/labels.csv": rows, **{f"set/{name}": b"" for name in NAMES}})
    assert images.labels().tolist() == [2, 0, 7, 3]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("name,class\n0.png,1\n", "columns .*accepted: file,label"),
        ("file,label\n0.png,cat\n", r"line 2 .*'0.png' the label 'cat'; accepted: .* class number"),
        ("file,label\n0.png,-1\n", "class number"),
        ("file,label\n0.png\n", "class number"),
        ("file,label\n0.png,1\n0.png,1\n", "line 3 .*every file once"),
        ("file,label\n0.png,1\nother.png,1\n", "'other.png' is not both in 'labels.csv'"),
        ("file,label\n", "'0.png' is not both in 'labels.csv'"),
        (b"\xff\xfe", "can't decode"),
    ],
)
def test_a_file_of_labels_that_does_not_fit_is_refused(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, {"labels.csv": rows, "0.png": b""}).labels()


def test_images_beside_the_folders_of_classes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'c.png' lies beside the folders"):
        opened(tmp_path, {"a/0.png": b"", "b/0.png": b"", "c.png": b""}).labels()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"0.png": b"", "notes.txt": b""}, r"'notes.txt' is no image; accepted: .jpg"),
        ({"0.gif": b""}, "'0.gif' is no image"),
        ({"labels.csv": b""}, "0 images"),
        ({"labels.csv": b"", "a/labels.csv": b"", "0.png": b""}, "2 files labels.csv"),
        ({"large.png": bytes(101)}, "'large.png' has 101 bytes; accepted: up to 100"),
        ({f"{number}.png": b"" for number in range(11)}, "11 images"),
    ],
)
def test_other_members_and_too_many_bytes_are_refused(tmp_path, members, message, monkeypatch):
    monkeypatch.setattr(module, "MAX_IMAGE_BYTES", 100)
    monkeypatch.setattr(module, "MAX_IMAGES", 10)
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, members)


def test_encrypted_and_repeated_members_are_refused(tmp_path):
    path = archive(tmp_path / "images.zip", {"0.png": b"x"})
    with zipfile.ZipFile(path, "a") as zipped, pytest.warns(UserWarning, match="Duplicate"):
        zipped.writestr("0.png", b"y")
    with pytest.raises(ValueError, match="two members have the same name"):
        ImageArchive(path)
    content = bytearray(archive(path, {"0.png": b"x"}).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag of encryption
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"'0.png' is encrypted"):
        ImageArchive(path)
