"""Windows of all symbols of a group, pooled without copies.

One `(rows, features)` array holds the inputs of each session of each symbol once; a window is only the row at which it
ends. Training gathers windows by index inside the compiled step, serving gathers them once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.preprocessing.price_history import DateArray, FloatArray, PriceHistory
from models.preprocessing.staleness import is_stale

Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]

MIN_BARS_TRAINING = 80
"""Bars that a symbol must have up to as_of for a training window."""


@dataclass(frozen=True, slots=True)
class PooledWindows:
    """Windows over one shared input array.

    Attributes:
        inputs: `(rows, features)` float32, symbols one after the other, oldest session first; finite
            everywhere (masked or missing values are 0 with their mask channel at 0).
        ends: `(windows,)` row at which each window ends (its as_of); the window consists of the rows
            `end - lookback + 1 .. end`, both inclusive, all of one symbol and without a hole.
        lookback: Sessions in a window.
        sigma: `(windows,)` EWMA daily volatility known at as_of, log-return units.
        targets: `(windows, horizon)` cumulative log returns after 1..horizon sessions divided by
            `sigma * sqrt(step)`; NaN where unknown (serving, a target bar that is missing, or a break before it).
        symbol_index: `(windows,)` position of the symbol in the panel.
        as_of: `(windows,)` datetime64[D].
        final_at: `(windows,)` datetime64[s], when as_of's bar is final.
        target_final_at: `(windows, horizon)` datetime64[s], when each target bar is final; NaT where unknown.
        newest_only: Columns that a window holds at its newest session only; they are 0 at the older ones.
    """

    inputs: Float32Array
    ends: IntArray
    lookback: int
    sigma: NDArray[np.float64]
    targets: NDArray[np.float64]
    symbol_index: IntArray
    as_of: DateArray
    final_at: DateArray
    target_final_at: DateArray
    newest_only: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ends)

    def select(self, index: NDArray[np.bool_] | IntArray | slice) -> "PooledWindows":
        """Return the windows of a mask, positions or a slice (without copies), over the same input array."""
        return PooledWindows(
            self.inputs,
            self.ends[index],
            self.lookback,
            self.sigma[index],
            self.targets[index],
            self.symbol_index[index],
            self.as_of[index],
            self.final_at[index],
            self.target_final_at[index],
            self.newest_only,
        )

    def gather(self) -> Float32Array:
        """Return copies of all windows: `(windows, lookback, features)` float32, oldest session first."""
        offsets = np.arange(self.lookback - 1, -1, -1, dtype=np.int64)
        gathered: Float32Array = self.inputs[self.ends[:, None] - offsets[None, :]]
        if self.newest_only:
            gathered *= self.visibility()
        return gathered

    def visibility(self) -> Float32Array:
        """Return `(lookback, features)`: 0 for the columns of `newest_only` at older sessions, else 1."""
        return visibility(self)


@dataclass(frozen=True, slots=True)
class TrainingWindows:
    """What a training loop reads of pooled windows; see the attributes of `PooledWindows`."""

    inputs: Float32Array
    ends: IntArray
    lookback: int
    sigma: NDArray[np.float64]
    targets: NDArray[np.float64]
    newest_only: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ends)

    def visibility(self) -> Float32Array:
        """Return `(lookback, features)`: 0 for the columns of `newest_only` at older sessions, else 1."""
        return visibility(self)


def training_windows(windows: PooledWindows) -> TrainingWindows:
    """Return what a training loop reads of pooled windows, without copies."""
    return TrainingWindows(
        windows.inputs, windows.ends, windows.lookback, windows.sigma, windows.targets, windows.newest_only
    )


def visibility(windows: PooledWindows | TrainingWindows) -> Float32Array:
    """Return `(lookback, features)`: 0 for the columns of `newest_only` at older sessions, else 1."""
    visible = np.ones((windows.lookback, windows.inputs.shape[1]), np.float32)
    visible[:-1, list(windows.newest_only)] = 0.0
    return visible


@dataclass(frozen=True, slots=True)
class WindowRule:
    """Rule of which windows are valid.

    Attributes:
        lookback: Sessions in a window.
        horizon: Steps of the targets.
        require_targets: Whether a window with any unknown target is left out.
        min_bars: Bars that the symbol must have up to as_of, inclusive.
        leave_out_stale: Whether a window whose symbol hardly traded up to as_of is left out, see `staleness`.
    """

    lookback: int
    horizon: int
    require_targets: bool
    min_bars: int = MIN_BARS_TRAINING
    leave_out_stale: bool = True


def window_ends(usable: NDArray[np.bool_], lookback: int) -> IntArray:
    """Return the rows that end a run of at least `lookback` usable rows.

    Args:
        usable: `(n,)` rows of one symbol, oldest first.
        lookback: Sessions in a window.

    Returns:
        `(windows,)` ascending rows; the window consists of `row - lookback + 1 .. row`, both inclusive.
    """
    counted = np.concatenate(([0], np.cumsum(usable)))
    ends: IntArray = np.flatnonzero(counted[lookback:] - counted[:-lookback] == lookback) + lookback - 1
    return ends


def known_returns(history: PriceHistory, step: int) -> FloatArray:
    """Return `(n,)` log returns over `step` sessions that end at each row.

    NaN where either bar is missing, and where a break lies between them.
    """
    returns = np.full(len(history), np.nan)
    returns[step:] = _known_returns(np.log(history.close), history.segments, step)
    return returns


def _known_returns(logs: FloatArray, segments: IntArray, step: int) -> FloatArray:
    """Return the `(n - step,)` returns of `known_returns`, without the rows that have none."""
    known: FloatArray = np.where(segments[step:] == segments[:-step], logs[step:] - logs[:-step], np.nan)
    return known


def scaled_targets(history: PriceHistory, sigma: FloatArray, horizon: int) -> FloatArray:
    """Return cumulative log returns after 1..horizon sessions, divided by `sigma * sqrt(step)`.

    Args:
        history: Price history on the session grid.
        sigma: `(n,)` volatility known at each session.
        horizon: Number of steps.

    Returns:
        `(n, horizon)`; NaN where the target's bar or the sigma is unknown, or where a break lies between as_of and
        the target.
    """
    logs, segments = np.log(history.close), history.segments
    targets = np.full((len(history), horizon), np.nan)
    for step in range(1, horizon + 1):
        targets[:-step, step - 1] = _known_returns(logs, segments, step) / (sigma[:-step] * np.sqrt(step))
    return targets


def pool_windows(
    histories: tuple[PriceHistory, ...], sigmas: list[FloatArray], inputs: Float32Array, rule: WindowRule
) -> PooledWindows:
    """Return all valid windows of several symbols over one input array.

    A window is valid where each of its sessions has a bar and a sigma, the symbol has at least `rule.min_bars` bars up
    to as_of, and (see `rule`) it is not stale; it never crosses the border between two symbols.

    Args:
        histories: The symbols, in the order of their rows in `inputs`.
        sigmas: One `(n,)` array per history.
        inputs: `(rows, features)`, one row per session of each history; with width 0 the windows have no inputs.
        rule: Rule of which windows are valid.

    Returns:
        Windows ordered by symbol, then by as_of.
    """
    # Filled in place, and cut at the end: parts that are joined would take the memory of all windows twice. Rows that
    # are never written take none.
    pooled = _empty_windows(inputs, sum(len(history) for history in histories), rule)
    start = offset = 0
    for index, (history, sigma) in enumerate(zip(histories, sigmas, strict=True)):
        targets = scaled_targets(history, sigma, rule.horizon)
        ends = _valid_ends(history, sigma, targets, rule)
        own = slice(start, start + len(ends))
        _fill_windows(pooled, own, history, ends, targets[ends])
        pooled.sigma[own], pooled.ends[own], pooled.symbol_index[own] = sigma[ends], ends + offset, index
        start, offset = own.stop, offset + len(history)
    return pooled.select(slice(0, start))


def _valid_ends(history: PriceHistory, sigma: FloatArray, targets: FloatArray, rule: WindowRule) -> IntArray:
    """Return the rows of one symbol that end a valid window."""
    present = ~np.isnan(history.close)
    ends = window_ends(present & ~np.isnan(sigma), rule.lookback)
    ends = ends[np.cumsum(present)[ends] >= rule.min_bars]
    if rule.leave_out_stale:
        ends = ends[~is_stale(history)[ends]]
    if rule.require_targets:
        ends = ends[~np.isnan(targets[ends]).any(axis=1)]
    return ends


def _fill_windows(
    pooled: PooledWindows, own: slice, history: PriceHistory, ends: IntArray, targets: FloatArray
) -> None:  # fmt: skip
    """Write the targets and instants of one symbol's windows into the rows of their slice."""
    pooled.targets[own] = targets
    pooled.as_of[own], pooled.final_at[own] = history.sessions[ends], history.final_at[ends]
    for step in range(1, targets.shape[1] + 1):
        instants = history.final_at[np.minimum(ends + step, len(history) - 1)]
        instants[np.isnan(targets[:, step - 1])] = np.datetime64("NaT")
        pooled.target_final_at[own, step - 1] = instants


def _empty_windows(inputs: Float32Array, count: int, rule: WindowRule) -> PooledWindows:
    """Return a number of windows whose columns are to be filled."""
    return PooledWindows(
        inputs=inputs,
        ends=np.empty(count, np.int64),
        lookback=rule.lookback,
        sigma=np.empty(count),
        targets=np.empty((count, rule.horizon)),
        symbol_index=np.empty(count, np.int64),
        as_of=np.empty(count, "datetime64[D]"),
        final_at=np.empty(count, "datetime64[s]"),
        target_final_at=np.empty((count, rule.horizon), "datetime64[s]"),
    )
