"""The layers as CSV."""

import csv
import io

import pytest

from quant.report.layers_csv import COLUMNS, FORMULA_STARTS, as_text, layers_csv
from tests.quant.reports import digits_report, renamed


def lines_of(report):
    text = layers_csv(report).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_every_layer_has_a_line_with_its_figures():
    report = digits_report("int4")
    lines = lines_of(report)
    assert [line["name"] for line in lines] == [layer.name for layer in report.layers]
    for line, layer in zip(lines, report.layers, strict=True):
        assert set(line) == set(COLUMNS)
        assert float(line["output_sqnr_db"]) == layer.output.sqnr_db
        assert float(line["weight_sqnr_db"]) == layer.weight.sqnr_db
        assert float(line["mean_shift_after"]) == layer.output.mean_shift_after
        assert line["weight_shape"] == "x".join(map(str, layer.weight_shape))
        assert (int(line["bits"]), int(line["bytes_after"])) == (layer.bits, layer.bytes_after)


def test_a_figure_that_was_not_measured_is_an_empty_field():
    lines = lines_of(digits_report("int4-weights", calibrated=False, evaluated=False))
    assert all(line["output_sqnr_db"] == line["error_share"] == "" for line in lines)


def test_lines_end_in_cr_lf_and_all_texts_are_quoted():
    data = layers_csv(digits_report("int4"))
    header, *lines = data.split(b"\r\n")
    assert header.startswith(b'"name","op"')
    assert lines.pop() == b""
    assert all(line.startswith(b'"/') for line in lines)
    assert b"\n" not in data.replace(b"\r\n", b"")


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_no_name_is_a_formula(start):
    report = renamed(digits_report("int4"), f'{start}HYPERLINK("https://example.com")')
    assert f"'{start}HYPERLINK" in layers_csv(report).decode()
    names = [line["name"] for line in lines_of(report)]
    assert not any(name.startswith(FORMULA_STARTS) for name in names)


def test_other_names_are_unchanged():
    for name in ("layer3.2/conv2", "重み", "a=b", "it's", "x;=1+1"):
        assert as_text(name) == name


@pytest.mark.parametrize("name", ['a"b', "a,b", "a\nb", "a\r\nb", "x;=1+1", "", "\x00"])
def test_a_name_of_any_characters_stays_in_its_field(name):
    report = renamed(digits_report("int4"), name)
    assert [line["name"] for line in lines_of(report)] == [layer.name for layer in report.layers]
