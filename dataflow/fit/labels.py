"""The cheapest path of a trellis under a budget: Lagrangian bounds first, then labels that they cannot exclude."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.fit.trellis import Floats, Ints, Trellis

PRICED = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
"""What is made small: `Resources.load`, the shares of LUTs, block RAM and UltraRAM."""

DROPPED = (3, 8, 16, 32)
"""Rounds of the ascent before which transitions are dropped."""

ROUNDING = 1e-9
"""Slack of comparisons of shares; one LUT of the largest supported parts is a share of 1e-6."""


WIDE = 0.03
"""Gap beyond which paths are bounded by all shares together too, where none is known (decision)."""


@dataclass(frozen=True, eq=False)
class Bound:
    """The best Lagrangian bound: no path within the budget costs less than `value`; and the best such path that was met.

    `multipliers`: prices of the budgets. `rest`: the part of the trellis that holds every path within the budget that
    costs no more than `cost`.
    """

    value: float
    multipliers: Floats
    path: list[int] | None
    cost: float
    rest: Trellis


def lagrangian(trellis: Trellis, budget: Ints, *, rounds: int = 60) -> Bound:
    """Ascend the Lagrangian dual of: least load, every share at most 1.

    Stops as soon as bound and path meet, or the bound is above what any path within the budget costs. Transitions on no
    path that the bound leaves open are dropped on the way.
    """
    scale = 1.0 / np.maximum(1, budget)
    limit = budget * scale
    multipliers = np.zeros(len(PRICED))
    most = _most(trellis, budget)
    best = Bound(-np.inf, multipliers, None, np.inf, trellis)
    reach = 1.0
    for turn in range(rounds):
        if turn in DROPPED:
            best = _dropped(best, budget, most)
        prices = (PRICED + multipliers) * scale
        price, path, total = best.rest.cheapest(prices)
        if not path:
            return replace(best, value=best.cost)
        shares = total * scale
        value = price - float(multipliers @ limit)
        kept, cost = best.path, best.cost
        if (total <= budget).all() and PRICED @ shares < cost:
            kept, cost = best.rest.named(path), float(PRICED @ shares)
        if value <= best.value + 1e-6:
            reach *= 0.7
        better = (value, multipliers) if value > best.value else (best.value, best.multipliers)
        best = Bound(*better, kept, cost, best.rest)
        if best.value > most + ROUNDING or best.cost - best.value < ROUNDING:
            break
        slope = shares - limit
        slope[(multipliers <= 0) & (slope < 0)] = 0
        length = float(slope @ slope)
        if length == 0:
            break
        aim = min(best.cost, most) + 0.1 * (best.path is None)
        multipliers = np.maximum(0, multipliers + reach * max(aim - value, 1e-4) / length * slope)
    return _dropped(best, budget, most)


def _dropped(bound: Bound, budget: Ints, most: float) -> Bound:
    """Drop the transitions that lie on no path within the budget which costs at most what the best one does."""
    if bound.value == -np.inf:
        return bound
    scale = 1.0 / np.maximum(1, budget)
    limit = min(bound.cost, most) + float(bound.multipliers @ (budget * scale)) + ROUNDING
    return replace(bound, rest=bound.rest.part((PRICED + bound.multipliers) * scale, limit))


@dataclass(frozen=True, eq=False)
class Share:
    """A bound from below on the largest share of a budget that any path takes, and a path that comes near it.

    `weights`: of the shares, which sum up to 1 and to `bound` or more on every path.
    """

    bound: float
    path: list[int]
    weights: Floats


def smallest_share(
    trellis: Trellis, budget: Ints, counted: Floats | None = None, *, rounds: int = 60, decide: bool = False
) -> Share:
    """Bound the largest share of a budget that any path takes; `counted`: 1 for the resources that matter, all when None.

    `decide`: stop as soon as a path is within the budget, or the bound says that none is.
    Whatever the prices, the cheapest path costs no more than the largest share of any; prices grow where shares are large.
    """
    scale = 1.0 / np.maximum(1, budget)
    weights = np.where(PRICED > 0, 0.45, 0.05) * trellis.used * (1.0 if counted is None else counted)
    weights /= max(weights.sum(), ROUNDING)
    bound, best, least, found = 0.0, weights, np.inf, []
    for turn in range(rounds):
        price, path, total = trellis.cheapest(weights * scale)
        shares = total * scale
        if price > bound:
            bound, best = price, weights
        if decide and (bound > 1 + ROUNDING or (total <= budget).all()):
            return Share(bound, path, best)
        largest = float(shares[weights > 0].max(initial=0))
        if largest < least:
            least, found = largest, path
        if least < 1.005 * bound:
            break
        weights = weights * np.exp(2 * 0.92**turn * (shares / largest - 1))
        weights /= weights.sum()
    return Share(bound, found, best)


def cheapest_path(trellis: Trellis, budget: Ints) -> list[int] | None:
    """Find the path of least load with every resource within the budget, None when there is none.

    Every path that costs at most `bound + gap` is among the labels, `gap` growing until a path is found or the bound
    rules all out: so the path found is a cheapest one.
    """
    bound = lagrangian(trellis, budget)
    most = _most(trellis, budget)
    if bound.value > most + ROUNDING:
        return None
    most = min(bound.cost, most)
    trellis, used = bound.rest, trellis.used
    kept = used & (PRICED > 0)
    gap = 0.002
    while True:
        ceiling = min(most, bound.value + gap) + ROUNDING
        # Flip-flops and DSP blocks rarely bind: each is held against the budget only where the others' path breaks it.
        weights = None
        if bound.path is None and gap > WIDE:
            share = smallest_share(trellis, budget, kept.astype(float))
            if share.bound > 1 + ROUNDING:
                return None
            weights = share.weights
        found = _search(trellis, budget, bound, ceiling, kept, weights)
        while found is not None and (found[1] > budget).any():
            kept = kept | (found[1] > budget)
            found = _search(trellis, budget, bound, ceiling, kept, weights)
        if found is not None:
            return trellis.named(found[0])
        if ceiling >= most:
            return bound.path
        gap *= 4


def _most(trellis: Trellis, budget: Ints) -> float:
    """Give the load that no path within the budget exceeds."""
    return float(PRICED @ (trellis.used & (budget > 0)))


def _search(
    trellis: Trellis,
    budget: Ints,
    bound: Bound,
    ceiling: float,
    kept: npt.NDArray[np.bool_],
    weights: Floats | None,
) -> tuple[list[int], Ints] | None:
    """Find the cheapest path below the ceiling that keeps the budget of the resources in `kept`, and its cost.

    `weights`: of shares of these that bound what a path can do with all of them, which sum up to 1; see `Share`.
    """
    scale = 1.0 / np.maximum(1, budget)
    columns = np.flatnonzero(kept)
    single = [np.eye(len(PRICED))[i] * scale for i in columns]
    # Prices and the most that a path may cost at them: the Lagrangian, the cost itself, and each kept resource.
    # None may price what is not kept: a label could lose to one that is worse in it, and that one to the price.
    multipliers = np.where(kept, bound.multipliers, 0.0)
    tests: list[tuple[Floats, float]] = [
        ((PRICED + multipliers) * scale, ceiling + float(multipliers @ (budget * scale))),
        (PRICED * scale, ceiling),
        *((prices, 1.0 if budget[i] else 0.0) for prices, i in zip(single, columns, strict=True)),
    ]
    if weights is not None:
        tests.append((weights * scale, 1.0))
    alive = [np.ones(len(section.source), bool) for section in trellis.sections]
    ahead = []
    for prices, most in tests:
        before, after = trellis.forward(prices), trellis.backward(prices)
        ahead.append(after)
        for i, section in enumerate(trellis.sections):
            alive[i] &= (
                before[i][section.source] + section.priced(prices) + after[i + 1][section.target] <= most + ROUNDING
            )
    labels = np.zeros((1, len(PRICED)), np.int64)
    states = np.zeros(1, np.int64)
    trail: list[tuple[Ints, Ints]] = []
    for i, section in enumerate(trellis.sections):
        chosen = np.flatnonzero(alive[i])
        starts = np.searchsorted(states, section.source[chosen])
        counts = np.searchsorted(states, section.source[chosen], side="right") - starts
        moved = np.repeat(chosen, counts)
        parent = np.arange(len(moved)) - np.repeat(np.cumsum(counts) - counts - starts, counts)
        cost = labels[parent] + section.cost[moved]
        target = section.target[moved]
        good = np.ones(len(moved), bool)
        for (prices, most), front in zip(tests, ahead, strict=True):
            good &= cost @ prices + front[i + 1][target] <= most + ROUNDING
        moved, parent, cost, target = moved[good], parent[good], cost[good], target[good]
        best = _undominated(target, cost[:, columns])
        trail.append((moved[best], parent[best]))
        labels, states = cost[best], target[best]
        if not len(states):
            return None
    winner = int((labels @ (PRICED * scale)).argmin())
    total, path = labels[winner], []
    for moved, parent in reversed(trail):
        path.append(int(moved[winner]))
        winner = int(parent[winner])
    return path[::-1], total


def _undominated(state: Ints, cost: Ints) -> Ints:
    """Keep the rows, by state, that no other row of the same state beats or equals in every column; the first of equals stays."""
    order = np.lexsort((*cost.T[::-1], state))
    state, cost = state[order], cost[order]
    # Rows of a state ascend in the first column: what came before is no worse in it.
    if cost.shape[1] == 2:
        last = cost[:, 1]
        lowered = last - state * (int(last.max(initial=0)) + 1)
        before = np.minimum.accumulate(np.concatenate([[np.iinfo(np.int64).max], lowered[:-1]])) if len(last) else last
        return order[lowered < before] if len(last) else order
    if cost.shape[1] == 3:
        return order[_staircase(state, cost)]
    kept: list[int] = []
    first = 0
    for row in range(len(order)):
        if kept and state[kept[-1]] != state[row]:
            first = len(kept)
        if not (cost[kept[first:]] <= cost[row]).all(axis=1).any():
            kept.append(row)
    return order[np.array(kept, np.int64)]


def _staircase(state: Ints, cost: Ints) -> Ints:
    """Do so for three columns, of rows that ascend by state and columns.

    Of the rows of a state so far those count that no other beats in the last two columns: a staircase, which falls in the
    third column where it rises in the second.
    """
    kept: list[int] = []
    seconds: list[int] = []
    thirds: list[int] = []
    present = -1
    for row, (where, second, third) in enumerate(zip(state.tolist(), *cost.T[1:].tolist(), strict=True)):
        if where != present:
            present, seconds, thirds = where, [], []
        after = bisect_right(seconds, second)
        if after and thirds[after - 1] <= third:
            continue
        while after < len(thirds) and thirds[after] >= third:
            after += 1
        first = bisect_left(seconds, second)
        seconds[first:after], thirds[first:after] = [second], [third]
        kept.append(row)
    return np.array(kept, np.int64)
