"""Prepared images are those of the usual pipeline, bit for bit, and each fault names the image or the option."""

import io
import sys
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from quant.data.images import pixels
from quant.data.images.preparation import ImagePreparation
from quant.data.read import read_dataset
from quant.errors import InputMismatch, SpecError, UnreadableDataset, UnsupportedDataset
from tests.quant.data.images.archives import archive, encoded, picture
from tests.quant.data.test_read import model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = [(40, 30), (30, 40), (33, 57), (24, 24), (90, 31)]


def inputs(path, shape=("N", 3, 20, 20), dtype="FLOAT", **preparation):
    """Return all prepared images of an archive, for a model of this input."""
    data = read_dataset(path, model({"input": (dtype, list(shape))}), ImagePreparation(**preparation))
    return np.concatenate([batch["input"] for batch in data.batches()])


def usual(content, resize, crop, mean=MEAN, std=STD, divisor=255, convert="RGB", filter_name="BILINEAR"):
    """Resize the shorter side, crop the centre and normalise as torchvision does; return (C, H, W)."""
    image = Image.open(io.BytesIO(content)).convert(convert)
    width, height = image.size
    short = min(width, height)
    image = image.resize((int(resize * width / short), int(resize * height / short)), Image.Resampling[filter_name])
    left, top = round((image.width - crop) / 2), round((image.height - crop) / 2)
    values = np.asarray(image.crop((left, top, left + crop, top + crop)), np.float32).reshape(crop, crop, -1)
    return ((values / np.float32(divisor) - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1)


@pytest.fixture(scope="module")
def files():
    kinds = {"jpg": ("JPEG", {}), "png": ("PNG", {}), "bmp": ("BMP", {}), "webp": ("WEBP", {"quality": 60})}
    return {
        f"{number}.{suffix}": encoded(picture(size=size), file_format, **options)
        for number, size in enumerate(SIZES)
        for suffix, (file_format, options) in kinds.items()
    }


@pytest.fixture
def zipped(tmp_path, files):
    return archive(tmp_path / "images.zip", files)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_prepared_images_are_those_of_the_usual_pipeline(files, zipped, interpolation):
    prepared = inputs(zipped, resize=24, crop=20, mean=MEAN, std=STD, interpolation=interpolation)
    expected = [usual(files[name], 24, 20, filter_name=interpolation.upper()) for name in sorted(files)]
    assert prepared.dtype == np.float32
    np.testing.assert_array_equal(prepared, np.stack(expected))


def test_an_array_of_the_same_pixels_gives_the_same_inputs(tmp_path, zipped):
    images = inputs(zipped, ("N", "H", "W", 3), "UINT8", resize=(20, 20))
    np.savez(tmp_path / "arrays.npz", images=images, mean=MEAN, std=STD)
    np.testing.assert_array_equal(inputs(zipped, resize=(20, 20), mean=MEAN, std=STD), inputs(tmp_path / "arrays.npz"))


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        (("N", 20, 20, 3), {}),
        (("N", "C", 20, 20), {"layout": "NCHW"}),
        (("N", 3, "H", "W"), {"color": "BGR"}),
        (("N", 1, 20, 20), {}),
        (("N", "H", "W", "C"), {"layout": "NHWC", "color": "gray", "divisor": 127.5, "mean": 1}),
        (("N", 3, 20, 20), {"divisor": 1}),
    ],
)
def test_layout_and_colour_follow_from_the_model_or_the_spec(files, zipped, shape, options):
    gray = 1 in shape or options.get("color") == "gray"
    name = min(files)
    expected = usual(
        files[name], 24, 20, options.get("mean", 0), 1, options.get("divisor", 255), "L" if gray else "RGB"
    )
    expected = expected[::-1] if options.get("color") == "BGR" else expected
    expected = expected.transpose(1, 2, 0) if shape[1] == 20 or options.get("layout") == "NHWC" else expected
    np.testing.assert_array_equal(inputs(zipped, shape, resize=24, crop=20, **options)[0], expected)


def test_a_model_of_halves_gets_the_rounded_values(zipped):
    halves = inputs(zipped, dtype="FLOAT16", resize=24, crop=20)
    np.testing.assert_array_equal(halves, inputs(zipped, resize=24, crop=20).astype(np.float16))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_other_modes_are_converted_as_pillow_does(tmp_path, mode):
    image = picture(mode, (20, 20))
    content = encoded(image, "JPEG" if mode == "CMYK" else "PNG")
    (prepared,) = inputs(archive(tmp_path / "images.zip", {"a.jpg": content}))
    np.testing.assert_array_equal(prepared, usual(content, 20, 20, 0, 1))


def test_an_orientation_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    content = encoded(picture(size=(20, 20)), "PNG", exif=exif)
    (prepared,) = inputs(archive(tmp_path / "images.zip", {"a.png": content}))
    np.testing.assert_array_equal(prepared, usual(content, 20, 20, 0, 1))


def test_labels_and_a_fixed_batch_are_those_of_arrays(tmp_path):
    members = {f"{label}/{number}.png": picture(size=(20, 20)) for label in "ab" for number in range(3)}
    data = read_dataset(archive(tmp_path / "images.zip", members), model({"input": ("FLOAT", [4, 3, 20, 20])}))
    assert (data.samples, data.used, data.fixed) == (6, 4, True)
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]


def animated():
    frames = [picture(size=(20, 20)) for _ in range(2)]
    return encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])


def huge():
    """Return a PNG whose header declares 60000 x 60000 pixels."""
    content = bytearray(encoded(picture(size=(20, 20))))
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'a.png' cannot be read .*accepted: JPEG, PNG, BMP, WEBP"),
        (b"GIF89a" + bytes(100), "'a.png' cannot be read .unknown format"),
        (encoded(picture(), "TIFF"), "'a.png' cannot be read"),
        (encoded(picture())[:200], "'a.png' cannot be read"),
        (encoded(picture(), "JPEG")[:-200], "'a.png' cannot be read .*truncated"),
        (animated(), "'a.png' is animated; accepted: images of one frame"),
        (encoded(Image.fromarray(np.zeros((20, 20), np.uint16))), "mode I;16; accepted: 8 bits"),
        (huge(), "'a.png' cannot be read .*pixels"),
        (encoded(picture(size=(41, 30))), "41 x 30 pixels; accepted: 1 to 1200"),
    ],
)
def test_a_damaged_or_hostile_image_is_refused_by_name(tmp_path, content, message, monkeypatch):
    monkeypatch.setattr(pixels, "MAX_PIXELS", 40 * 30)
    with pytest.raises(UnreadableDataset, match=message):
        inputs(archive(tmp_path / "images.zip", {"a.png": content}), ("N", 3, "H", "W"))


@pytest.mark.parametrize("kept", [0, 3, 20])
def test_images_are_decoded_once_as_far_as_they_are_kept(zipped, monkeypatch, kept):
    monkeypatch.setattr(pixels, "MAX_KEPT_BYTES", kept * 20 * 20 * 3)
    data = read_dataset(zipped, model({"input": ("FLOAT", ["N", 3, 20, 20])}), ImagePreparation(resize=(20, 20)))
    first = np.concatenate([batch["input"] for batch in data.batches()])
    decoded, opened = [], pixels.opened
    monkeypatch.setattr(pixels, "opened", lambda content, name: decoded.append(name) or opened(content, name))
    np.testing.assert_array_equal(np.concatenate([batch["input"] for batch in data.batches()]), first)
    assert len(decoded) == len(SIZES) * 4 - kept


def test_a_damaged_archive_is_refused(zipped, tmp_path):
    content = zipped.read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(zipped) as opened:
        place = opened.infolist()[3].header_offset + 100
    (tmp_path / "changed.zip").write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    for name in ("cut.zip", "changed.zip"):
        with pytest.raises(UnreadableDataset, match="cannot be read"):
            inputs(tmp_path / name)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (("N", 3, 20, 20), {}, r"'1.*' has \[40, 30\] pixels and '0.* \[30, 40\]; accepted: images of one size, or im"),
        (("N", 3, 20, 20), {"resize": 24, "crop": 22}, r"shape \[3, 22, 22\].*accepted: \[N, 3, 20, 20\], by images.r"),
        (("N", 3, 99, 99), {"crop": 99}, r"has \[30, 40\] pixels and the crop \[99, 99\]; accepted: larger images, or"),
        (("N", 3, "H"), {}, "a model of one input of 4 axes"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(zipped, shape, options, message):
    with pytest.raises(InputMismatch, match=message):
        inputs(zipped, shape, **options)


@pytest.mark.parametrize(
    ("shape", "options", "pointer"),
    [
        (("N", "C", "H", "W"), {}, "/images/layout"),
        (("N", 3, 20, 20), {"color": "gray"}, "/images/color"),
        (("N", 4, 20, 20), {"layout": "NCHW"}, "/images/color"),
        (("N", 1, 20, 20), {"mean": MEAN}, "/images/mean"),
        (("N", 3, 20, 20), {"std": (1.0, 2.0)}, "/images/std"),
    ],
)
def test_options_that_do_not_fit_the_input_are_refused(zipped, shape, options, pointer):
    with pytest.raises(SpecError, match=rf"{pointer}: .*accepted: ") as caught:
        inputs(zipped, shape, resize=(20, 20), **options)
    assert [fault.pointer for fault in caught.value.errors] == [pointer]


def test_a_model_of_integers_has_no_normalisation(zipped):
    with pytest.raises(SpecError, match="gets the pixels as they are"):
        inputs(zipped, dtype="UINT8", resize=(20, 20), mean=0.5)


def test_images_without_their_library_name_the_extra(zipped, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(UnsupportedDataset, match=r"install quantd-server\[data\]"):
        inputs(zipped)
