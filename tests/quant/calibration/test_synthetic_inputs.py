"""Synthetic inputs: every declared kind of input, and the reason where none can be made."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.calibration.synthetic_inputs import KINDS, ImageRange, NoSyntheticInputs, synthetic_set

TOKENS = """<ir_version: 10, opset_import: ["": 21]>
    net (int64[N, length] ids, int64[N, length] attention_mask) => (float[N, length, 2] y)
    <float[7, 2] table = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}> {
        numbers = Cast <to = 6> (ids)
        y = Gather (table, numbers)
    }"""


def taking(declared):
    """Return a model with one input of a type and shape."""
    return ir.from_onnx_text(
        f'<ir_version: 10, opset_import: ["": 21]> net ({declared} x) => ({declared} y) {{ y = Identity (x) }}'
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("declared", "shape"),
    [("float[N, 3, 16, 24]", (8, 3, 16, 24)), ("float[N, 16, 24, 1]", (8, 16, 24, 1)),
     ("float[1, 3, H, W]", (1, 3, 64, 64)), ("float16[2, 1, 8, 9]", (2, 1, 8, 9))],
)  # fmt: skip
def test_images_fill_inputs_with_channels_first_or_last(kind, declared, shape):
    data = synthetic_set(taking(declared), kind, {}, 16, seed=0)
    feeds = [batch["x"] for batch in data.batches()]
    assert {feed.shape for feed in feeds} == {shape}
    assert len(feeds) * shape[0] == 16
    assert feeds[0].dtype == (np.float16 if "16[" in declared.split("[")[0] + "[" else np.float32)


def test_images_lie_in_the_range_of_their_input():
    known = {"x": ImageRange(np.array([100.0, 0.0, -100.0]), np.array([10.0, 20.0, 30.0]))}
    data = synthetic_set(taking("float[N, 3, 16, 16]"), "noise", known, 64, seed=0)
    values = np.concatenate([batch["x"] for batch in data.batches()])
    np.testing.assert_allclose(values.mean(axis=(0, 2, 3)), [100, 0, -100], atol=10)
    np.testing.assert_allclose(values.std(axis=(0, 2, 3)), [10, 20, 30], rtol=0.3)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_of_table_entries_and_masks_hide_nothing(kind):
    feeds = next(synthetic_set(ir.from_onnx_text(TOKENS), kind, {}, 8, seed=0).batches())
    assert set(np.unique(feeds["ids"])) == set(range(7))
    assert (feeds["attention_mask"] == 1).all()
    assert feeds["ids"].dtype == feeds["attention_mask"].dtype == np.int64


def test_low_numbers_are_more_frequent_in_one_kind():
    model = ir.from_onnx_text(TOKENS)
    uniform, low = (next(synthetic_set(model, kind, {}, 8, seed=0).batches())["ids"] for kind in KINDS)
    assert (low == 0).mean() > 2 * (uniform == 0).mean()


@pytest.mark.parametrize(
    "declared",
    ["float[N, 480]", "float[N, 100, 40]", "float[2, 1, 16, 16, 33]", "float[N, 257, 1, 2]", "int64[N, 8]", "float[]",
     "string[N]"],
)  # fmt: skip
def test_other_inputs_are_not_guessed(declared):
    with pytest.raises(NoSyntheticInputs, match="input 'x'"):
        synthetic_set(taking(declared), "noise", {}, 8, seed=0)


def test_equal_seeds_give_equal_inputs_and_others_differ():
    model = taking("float[N, 3, 16, 16]")
    first, second, other = (next(synthetic_set(model, "shapes", {}, 8, seed).batches())["x"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
