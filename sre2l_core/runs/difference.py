"""What repetitions gave: mean and spread of a row, how far two lie apart, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import mean, stdev


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences: both values of a pair come from the same seeds, so what a seed does cancels."""

    mean: float
    error: float
    """Its standard error; infinite for a single pair."""
    low: float
    """Lower end of the 95 % interval of Student's t distribution."""
    high: float
    n: int
    """Pairs."""

    @classmethod
    def between(cls, ours: Sequence[float], theirs: Sequence[float]) -> Difference:
        """`ours` less `theirs`, pair by pair; what one of them has no partner for is left out."""
        pairs = [one - other for one, other in zip(ours, theirs, strict=False)]
        if len(pairs) < 2:
            return cls(mean(pairs), inf, -inf, inf, len(pairs))
        from scipy.stats import t

        error = stdev(pairs) / sqrt(len(pairs))
        reach = float(t.ppf(0.975, len(pairs) - 1)) * error
        return cls(mean(pairs), error, mean(pairs) - reach, mean(pairs) + reach, len(pairs))

    def __str__(self) -> str:
        if self.n < 2:
            return f"{self.mean:+.1f} (a single run each)"
        return f"{self.mean:+.1f} ± {self.error:.1f} (95 % interval {self.low:+.1f} to {self.high:+.1f}, n = {self.n})"


def with_spread(values: Sequence[float]) -> str:
    """Mean ± sample standard deviation; a single value alone."""
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{mean(values):.1f}"
