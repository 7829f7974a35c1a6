"""Paired differences against SciPy's own paired test."""

from math import inf

import pytest
from scipy.stats import ttest_rel

from sre2l_core.runs.difference import Difference

OURS, THEIRS = (95.0, 93.0, 92.2, 94.1), (84.4, 79.4, 75.8, 83.3)


def test_the_interval_is_that_of_a_paired_t_test():
    found, expected = Difference.between(OURS, THEIRS), ttest_rel(OURS, THEIRS)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.mean / found.error == pytest.approx(expected.statistic)
    assert found.n == 4


def test_what_all_seeds_share_cancels():
    shifted = Difference.between([a + shift for a, shift in zip(OURS, (9, -7, 30, 2), strict=True)],
                                 [b + shift for b, shift in zip(THEIRS, (9, -7, 30, 2), strict=True)])  # fmt: skip
    assert shifted.error == pytest.approx(Difference.between(OURS, THEIRS).error)


def test_one_pair_says_nothing_about_chance():
    found = Difference.between((3.0,), (1.0,))
    assert (found.mean, found.error, found.low, found.high, found.n) == (2.0, inf, -inf, inf, 1)
    assert str(found) == "+2.0 (a single run each)"


def test_a_value_without_partner_is_left_out():
    assert Difference.between((3.0, 5.0, 70.0), (1.0, 1.0)) == Difference.between((3.0, 5.0), (1.0, 1.0))
