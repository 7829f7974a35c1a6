"""Random numbers that are hashes of what they are for: no state, no order of calls, the same on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]


class CounterRandom:
    """A stream of its own for every seed, epoch, image and name of a quantity.

    Args:
        seed: 0 or more, as epoch and ids.
        epoch: epoch or step.
        ids: [N] int64 image ids.
    """

    def __init__(self, seed: int, epoch: int, ids: _Integers) -> None:
        self.ids = ids
        # An array of one: NumPy warns when a scalar wraps around, and wrapping around is the point.
        state = _splitmix(np.array([seed], dtype=np.uint64) + _GOLDEN)
        self._state = _splitmix(_splitmix(state ^ np.uint64(epoch)) ^ ids.astype(np.uint64))

    def uniform(self, name: str) -> _Floats:
        """[N] float64 in [0, 1) with 53 random bits."""
        # Little-endian words whatever the machine, so that a seed gives the same views everywhere.
        data = name.encode()
        words = np.frombuffer(data.rjust(-(-len(data) // 8) * 8, b"_"), dtype="<u8")
        key = np.zeros(1, dtype=np.uint64)
        for word in words:
            key = _splitmix(key ^ word)
        bits = _splitmix(self._state ^ key) >> np.uint64(11)  # float64 holds 53 bits; more would round up to 1
        return bits.astype(np.float64) * 2.0**-53

    def symmetric_beta(self, name: str, alpha: float) -> _Floats:
        """[N] draws of Beta(alpha, alpha): the inverse of its distribution function at uniform numbers."""
        # By inversion: rejection, the usual way, takes a number of draws that nobody knows beforehand.
        uniform = self.uniform(name)
        if alpha == 1:
            return uniform  # the inverse is the identity, and scipy need not be imported
        from scipy.special import betaincinv

        return np.asarray(betaincinv(alpha, alpha, uniform), dtype=np.float64)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _splitmix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The SplitMix64 output function (Steele, Lea and Flood, 2014) on an array of counters."""
    z = state + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
