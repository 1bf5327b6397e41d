"""The confidence interval of the difference of two accuracies, against simulation."""

import numpy as np
import pytest

from quant.evaluation.matched_pairs import MatchedPairs


@pytest.mark.parametrize(("lost", "gained"), [(0.03, 0.01), (0.1, 0.1), (0.01, 0.002)])
def test_the_interval_of_the_difference_covers_the_truth_as_often_as_it_says(lost, gained):
    rng = np.random.default_rng(2)
    drawn = rng.multinomial(500, [lost, gained, 1 - lost - gained], size=4000)
    limits = np.array([MatchedPairs(500, int(a), int(b)).interval() for a, b, _ in drawn])
    covered = ((limits[:, 0] <= gained - lost) & (gained - lost <= limits[:, 1])).mean()
    assert 0.94 <= covered <= 0.995


def test_the_interval_has_the_adjusted_centre_and_never_length_zero():
    low, high = MatchedPairs(100, 10, 4).interval()
    assert low < -0.06 < high
    assert (low + high) / 2 == pytest.approx((4.5 - 10.5) / 102)
    assert MatchedPairs(100, 0, 0).interval()[1] == -MatchedPairs(100, 0, 0).interval()[0] < 0.02
