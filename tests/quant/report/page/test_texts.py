"""Texts of figures on the page."""

import math

import pytest

from quant.report.page.texts import (
    breakable,
    decibels,
    difference,
    figure,
    gain,
    more,
    percent,
    size,
    unbroken,
    with_error,
    with_layer_links,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (decibels(17.44), "17.4 dB"), (decibels(-0.04), "0.0 dB"), (decibels(-3.25), "−3.2 dB"),
        (decibels(200.0), "exact"), (decibels(None), "not measured"), (decibels(-math.inf), "not measured"),
        (gain(6.14), "+6.1 dB"), (gain(-0.26), "−0.3 dB"), (gain(0.01), "0.0 dB"), (gain(None), "unknown"),
        (difference(0.904, 2), "+0.90"), (difference(-1.0, 2), "−1.00"), (difference(-0.001, 2), "0.00"),
        (percent(0.1722), "17.2 %"), (percent(0), "0.0 %"), (percent(0.0003), "0.03 %"), (percent(1e-9), "< 0.0001 %"),
        (percent(None), "not measured"), (percent(0.95, 0), "95 %"),
        (size(999), "999 bytes"), (size(1000), "1.0 kB"), (size(192224), "192 kB"), (size(25.5e6), "25.5 MB"),
        (size(4.2e9), "4.2 GB"), (more(37100), "+37.1 kB"), (more(-947), "−947 bytes"), (more(0), "same size"),
        (figure(0.0123456), "0.0123"), (figure(-2e-7), "−2e−07"), (figure(None), "not measured"),
        (with_error(0.00461, 0.00021), "0.0046 ±0.0002"), (with_error(0.17, 0.038), "0.17 ±0.04"),
        (with_error(12.3, 3.2), "12 ±3"), (with_error(2.2e-9, 1e-9), "2.2e-09 ±1e-09"), (with_error(0.5, 0), "0.5 ±0"),
        (with_error(0.5, None), "0.5"), (with_error(None, None), "not measured"),
    ],
)  # fmt: skip
def test_a_figure_has_its_unit_and_as_many_digits_as_are_of_use(text, expected):
    assert text == expected


def test_names_in_backticks_are_code_and_everything_is_escaped():
    text = with_layer_links("<b> of `a<i>b` & 2 dB", {})
    assert str(text) == "&lt;b&gt; of <code>a&lt;i&gt;b</code> &amp; 2\u00a0dB"


def test_names_of_layers_are_links_to_their_rows():
    text = with_layer_links("`conv1` of `other`", {"conv1": 3})
    assert str(text) == '<a href="#layer-3"><code>conv1</code></a> of <code>other</code>'


def test_a_line_does_not_break_before_a_unit():
    assert unbroken("2 % of 8 samples, 3 layers") == "2\u00a0% of 8\u00a0samples, 3 layers"


@pytest.mark.parametrize("name", ["/layer3/layer3.2/conv2/Conv", "", "a", "...", "<b>/<i>", "a_b:c"])
def test_a_name_may_break_after_separators_and_stays_the_same(name):
    html = str(breakable(name))
    assert html.replace("<wbr>", "").replace("&lt;", "<").replace("&gt;", ">") == name
    assert ("<wbr>" in html) == (
        len(name) > 1 and any(separator in name[:-1] for separator in "/._:") and name != "..."
    )
