"""The comparison with a baseline in Markdown."""

import pytest

from quantd.markdown import comparison_markdown
from quantd.regression import check_regressions
from tests.quant.outcome.summaries import summary


@pytest.mark.parametrize(
    ("limits", "verdict", "lines"),
    [
        ({}, "no figure has a limit", 0),
        ({"weight_sqnr_db": 2.0}, "no regression", 1),
        ({"weight_sqnr_db": 0.5, "bytes_after": 0}, "1 of 2 figures regressed", 2),
    ],
)
def test_the_heading_says_what_regressed_and_each_limit_has_a_line(limits, verdict, lines):
    before, after = (summary(weight_sqnr_db=value).model_dump(mode="json") for value in (30.0, 29.0))
    checks = check_regressions(limits, before, after, same_evaluation=True)
    text = comparison_markdown({"id": "job_1"}, checks)
    assert f"\n### Compared with `job_1`: {verdict}\n" in text
    assert text.count("\n- ") == lines
    assert ("**fail**: weight_sqnr_db is 29 dB, 1 dB worse" in text) == (lines == 2)
