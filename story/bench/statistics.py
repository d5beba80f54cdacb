"""Figures of many calls: percentiles with the range they may really lie in, and whether two runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARES = (50, 90, 95, 99)
RESAMPLES = 1000
CONFIDENCE = 95
"""Per cent."""

Values = NDArray[np.float64]
Groups = Sequence[Sequence[float]]
"""Values by call: those of one call are alike, so calls are drawn, not values."""


@dataclass(frozen=True)
class Estimate:
    """A figure, and between what it lies with 95 % confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """Of `count` values in `calls` calls: percentile -> estimate."""

    count: int
    calls: int
    percentiles: dict[int, Estimate]

    def __getitem__(self, share: int) -> float:
        return self.percentiles[share].value


def spread(groups: Groups, *, seed: int = 0) -> Spread | None:
    """The percentiles of all values, None where there are none. The ranges are those of a bootstrap over the calls; of
    a single call, over its values."""
    there = [group for group in groups if len(group)]
    if not there:
        return None
    table = _table(there if len(there) > 1 else [[value] for value in there[0]])
    every = table.reshape(1, -1)
    drawn = _resampled(table, seed)
    percentiles = {}
    for share in SHARES:
        low, high = np.percentile(_figures(drawn, share), (2.5, 97.5))
        percentiles[share] = Estimate(float(_figures(every, share)[0]), float(low), float(high))
    return Spread(sum(map(len, there)), len(there), percentiles)


def _table(groups: Groups) -> Values:
    """A row a call, filled up with nan: so thousands of resamples are drawn and sorted at once."""
    table = np.full((len(groups), max(map(len, groups))), np.nan)
    for row, group in zip(table, groups, strict=True):
        row[: len(group)] = group
    return table


def _resampled(table: Values, seed: int) -> Values:
    """Runs that might as well have been: a row each."""
    picks = np.random.default_rng(seed).integers(len(table), size=(RESAMPLES, len(table)))
    return table[picks].reshape(RESAMPLES, -1)


def _figures(rows: Values, share: int | None) -> Values:
    """Of each row its percentile (interpolated, as numpy does by default), or for None its mean; nan is no value."""
    if share is None:
        means: Values = np.nanmean(rows, axis=1)
        return means
    ordered = np.sort(rows, axis=1)  # nan last
    place = (np.count_nonzero(~np.isnan(rows), axis=1) - 1) * (share / 100)
    below = np.floor(place).astype(np.intp)
    row = np.arange(len(rows))
    low, high = ordered[row, below], ordered[row, np.ceil(place).astype(np.intp)]
    found: Values = low + (high - low) * (place - below)
    return found


@dataclass(frozen=True)
class Difference:
    """Of a figure between two runs: `after - before`, its range, and how likely so large a one is by chance alone."""

    before: float
    after: float
    change: Estimate
    chance: float


def difference(before: Groups, after: Groups, *, share: int | None = 50, seed: int = 0) -> Difference | None:
    """None where one of them has no values. share: the percentile that is compared; None: the mean.

    chance: of a permutation test that deals the calls of both runs out anew (the values, where each is one call).
    """
    first: Groups = [group for group in before if len(group)]
    second: Groups = [group for group in after if len(group)]
    if not first or not second:
        return None
    if min(len(first), len(second)) == 1:
        first, second = ([[value] for group in groups for value in group] for groups in (first, second))
    pool = _table([*first, *second])
    one, other = pool[: len(first)], pool[len(first) :]
    was, now = (float(_figures(table.reshape(1, -1), share)[0]) for table in (one, other))
    changes = _figures(_resampled(other, seed + 1), share) - _figures(_resampled(one, seed), share)
    low, high = np.percentile(changes, (2.5, 97.5))
    order = np.random.default_rng(seed + 2).permuted(np.tile(np.arange(len(pool)), (RESAMPLES, 1)), axis=1)
    dealt = [pool[part].reshape(RESAMPLES, -1) for part in (order[:, : len(first)], order[:, len(first) :])]
    by_chance = np.abs(_figures(dealt[1], share) - _figures(dealt[0], share))
    chance = (int(np.count_nonzero(by_chance >= abs(now - was) - 1e-12)) + 1) / (RESAMPLES + 1)
    return Difference(was, now, Estimate(now - was, float(low), float(high)), chance)


def holm(chances: Sequence[float]) -> list[float]:
    """Chances of several tests, each as it is when all are looked at together (Holm's correction)."""
    order = sorted(range(len(chances)), key=lambda index: chances[index])
    adjusted = [0.0] * len(chances)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[index]))
        adjusted[index] = highest
    return adjusted
