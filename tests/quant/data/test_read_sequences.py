"""Sets of sequences: their arrays, the pairs of states, and the first states."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.data.read_sequences import check_states, read_sequences
from quant.errors import InputMismatch, NonFiniteData, SpecError
from tests.quant.onnx_text import model_of

TEXT = """
cell (float[1, 3] x, float[1, 2] h, float[1, K] cache, float gain)
    => (float[1, 2] y, float[1, 2] h_out, float[1, K] c) {
  y = Mul (h, gain)
  h_out = Tanh (h)
  c = Identity (cache)
}
"""
STATES = {"h": "h_out", "cache": "c"}


@pytest.fixture
def model() -> ir.Model:
    return model_of(TEXT)


@pytest.fixture
def read(tmp_path, model):
    def read(**arrays):
        plain = {"x": np.zeros((4, 5, 1, 3)), "gain": np.float32(2), "cache": np.ones((4, 1, 6))}
        arrays = {
            name: np.asarray(array, np.float32) for name, array in {**plain, **arrays}.items() if array is not None
        }
        np.savez(tmp_path / "data.npz", **arrays)
        return read_sequences(tmp_path / "data.npz", model, STATES)

    return read


def test_every_step_is_a_sample_with_complete_values(read):
    x = np.arange(60, dtype=np.float32).reshape(4, 5, 1, 3)
    data = read(x=x)
    assert (data.samples, data.batch, data.sequences.steps) == (20, 1, 5)
    feeds = list(data.batches())
    np.testing.assert_array_equal(feeds[7]["x"], x[1, 2])
    assert feeds[7]["gain"] == 2


def test_a_state_starts_at_zeros_or_at_the_values_of_each_sequence(read):
    first = np.arange(8, dtype=np.float32).reshape(4, 1, 2)
    assert not any(feeds["h"].any() for feeds in read().batches())
    for number, feeds in enumerate(read(h=first).batches()):
        np.testing.assert_array_equal(feeds["h"], first[number // 5])
    assert all((feeds["h"] == 7).all() for feeds in read(h=np.full((1, 2), 7)).batches())


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"x": None}, r"array 'x' is missing; accepted: \[sequences, steps, 1, 3\]"),
        (
            {"x": np.zeros((4, 5, 1, 4))},
            r"'x' has shape \[4, 5, 1, 4\]; accepted: \[sequences, steps, 1, 3\], or \[1, 3\]",
        ),
        ({"x": np.zeros((20, 1, 3))}, r"'x' has shape \[20, 1, 3\]"),
        ({"x": np.zeros((1, 3))}, "same number of sequences and of steps, at least one; found none"),
        ({"gain": np.zeros((4, 6))}, r"'x' has \[4, 5\], 'gain' has \[4, 6\]"),
        ({"h": np.zeros((3, 1, 2))}, "array 'h' has 3 sequences and the other arrays have 4"),
        ({"cache": None}, r"the state 'cache' has no fixed size, .*; accepted: its array, \[sequences, 1, K\]"),
        ({"y": np.zeros(4)}, "array 'y' is no input of the model"),
        ({"labels": np.zeros(4)}, r"array 'labels' has 4 values; accepted: \[4, 5\]"),
    ],
)
def test_other_arrays_are_refused(read, arrays, text):
    with pytest.raises(InputMismatch, match=text):
        read(**arrays)


def test_values_that_are_not_finite_are_refused(read):
    with pytest.raises(NonFiniteData, match="'h'"):
        read(h=np.full((4, 1, 2), np.nan))


def test_labels_count_sequences_and_steps(read):
    np.testing.assert_array_equal(read(labels=np.arange(20).reshape(4, 5)).labels, np.arange(20))


@pytest.mark.parametrize(
    ("states", "pointer", "text"),
    [
        ({"z": "h_out"}, "/states/z", r"'z' is no input of the model; accepted: 'x' \[1, 3\]"),
        ({"h/0": "h_out"}, "/states/h~10", "no input"),
        ({"h": "z"}, "/states/h", r"'z' is no output of the model; accepted: 'y' \[1, 2\]"),
        ({"x": "h_out"}, "/states/x", r"input 'x' has shape \[1, 3\] and the output 'h_out' \[1, 2\]"),
    ],
)
def test_pairs_that_do_not_match_are_refused_with_their_place(model, states, pointer, text):
    with pytest.raises(SpecError, match=text) as refused:
        check_states(states, model)
    assert [fault.pointer for fault in refused.value.errors] == [pointer]


def test_pairs_of_another_type_are_refused():
    model = model_of("cell (float[2] h) => (int64[2] n) { n = Cast <to = 7> (h) }")
    with pytest.raises(SpecError, match="input 'h' is float32 and the output 'n' int64"):
        check_states({"h": "n"}, model)


def test_whole_sequences_are_held_out_and_of_few_sequences_their_last_parts(read):
    _, held_out = read().split(4)
    assert held_out.numbers == (15, 16, 17, 18, 19)
    fitting, held_out = read().split(5)
    assert held_out.numbers == (4, 9, 14, 19)
    assert sorted((*fitting.numbers, *held_out.numbers)) == list(range(20))
