"""The spec of a command line."""

import pytest

from quantd.errors import ClientError
from quantd.spec import check_spec, read_spec


@pytest.fixture
def spec_file(tmp_path):
    def write(content):
        path = tmp_path / "spec.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_options_replace_keys_of_the_file(spec_file):
    path = spec_file("preset: int8\nseed: 3\ngates: {max_size_ratio: 0.5, min_layer_sqnr_db: 6}\n")
    spec = read_spec(path, "int4", ["max_size_ratio=0.3"])
    assert spec == {"preset": "int4", "seed": 3, "gates": {"max_size_ratio": 0.3, "min_layer_sqnr_db": 6}}


@pytest.mark.parametrize("content", ["", "# only a comment\n", "gates:\n"])
def test_gates_are_added_to_an_empty_section(spec_file, content):
    assert read_spec(spec_file(content), None, ["max_size_ratio=0.3"]) == {"gates": {"max_size_ratio": 0.3}}


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ("- a\n", "not a mapping"),
        ("preset: [int8\n", "line 2, column 1"),
        (b"\xff\xfe\xfa", "neither YAML nor JSON"),
        ("gates: [1]\n", "`gates` is not a mapping"),
    ],
)
def test_a_file_that_is_no_spec_is_refused_with_the_place(spec_file, content, detail):
    with pytest.raises(ClientError, match=detail):
        read_spec(spec_file(content), None, ["max_size_ratio=0.3"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ClientError, match=r"nowhere\.yaml: No such file"):
        read_spec(tmp_path / "nowhere.yaml", None)


@pytest.mark.parametrize(
    ("gate", "detail"),
    [
        ("fast=1", "there is no gate 'fast'; accepted: min_output_sqnr_db"),
        ("max_size_ratio", "'' is not a number"),
        ("max_size_ratio=x", "'x' is not a number"),
        ("max_size_ratio=nan", "'nan' is not a number"),
        ("max_size_ratio=inf", "'inf' is not a number"),
    ],
)
def test_a_bad_gate_is_refused_with_what_is_accepted(gate, detail):
    with pytest.raises(ClientError, match=detail):
        read_spec(None, None, [gate])


def test_a_bad_spec_is_refused_with_pointers():
    with pytest.raises(ClientError) as error:
        check_spec({"preset": "int4", "weights": {"bits": 1, "x": 1}}, calibration=True, evaluation=True)
    assert error.value.document()["code"] == "spec.invalid"
    assert {fault["pointer"] for fault in error.value.document()["errors"]} == {"/weights/bits", "/weights/x"}


def test_missing_data_is_refused():
    spec = {"preset": "int4-weights", "gates": {"min_output_sqnr_db": 20}}
    with pytest.raises(ClientError, match="evaluation data"):
        check_spec(spec, calibration=False, evaluation=False)
    check_spec(spec, calibration=False, evaluation=True)
