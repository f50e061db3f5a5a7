"""The pipeline from a panel to windows, which makes the inputs both in training and in serving.

A pipeline is fitted once on the train span and stored in the artifact. Layout of the columns: the inputs from the
symbol's own bars, then for each reference its values and its mask channel.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.config import INPUT_MEMORY, MEMORY, MIN_HISTORY_NETWORK, Inputs, ModelConfig, Reference, ReferenceRole
from models.errors import ArtifactError, TooLittleHistory
from models.forecaster import SkippedSymbol
from models.phases import Phase
from models.preprocessing.extended_features import EVERY_SESSION, CycleScores
from models.preprocessing.features import ewma_sigma
from models.preprocessing.price_history import Bars, FloatArray, Panel, PriceHistory
from models.preprocessing.raw_inputs import (
    consumed,
    input_names,
    mask_columns_of,
    own_columns,
    panel_raw_inputs,
    raw_inputs,
)
from models.preprocessing.reference_join import join, masked, reference_tables
from models.preprocessing.scaling import Scaling, fit_scaling
from models.preprocessing.staleness import stale_reason
from models.preprocessing.windows import MIN_BARS_TRAINING, Float32Array, PooledWindows, WindowRule, pool_windows

FEATURES = "features"
"""Phase in which inputs and windows are computed for a training."""


@dataclass(frozen=True, slots=True)
class _NewestInputs:
    """The newest window of one symbol: its index in the panel, scaled inputs, and sigma at as_of."""

    index: int
    history: PriceHistory
    inputs: Float32Array
    sigma: float


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A fitted pipeline of features, scaling and windows.

    Attributes:
        lookback: Sessions in a window.
        horizon: Steps of the targets.
        references: Reference series, in input order.
        scaling: Centre and scale of each input column, from the train span only.
        trained_references: Symbols of the references with any unmasked row in the train span.
        inputs: Set of inputs.
    """

    lookback: int
    horizon: int
    references: tuple[Reference, ...]
    scaling: Scaling
    trained_references: tuple[str, ...]
    inputs: Inputs = Inputs.CORE

    @staticmethod
    def fit(panel: Panel, config: ModelConfig, cut_at: np.datetime64) -> "Pipeline":
        """Fit the scaling to the sessions that are final by an instant.

        Args:
            panel: Price histories and references; may end after the cut.
            config: Gives lookback, strategy, references and inputs.
            cut_at: UTC instant, inclusive: only sessions with `final_at <= cut_at` enter a statistic.

        Raises:
            TooLittleHistory: No session with a known sigma is final by then.
        """
        with Phase(FEATURES, rows=panel.bars):
            tables = reference_tables(config.references, panel.references, config.inputs)
            raw = (
                raw_inputs(history.until(_final_rows(history, cut_at)), tables, config.inputs)
                for history in panel.histories
            )
            computed = list(raw)
            return _fitted(config, _TrainRows(computed, [len(sigma) for _, sigma in computed]), cut_at)

    @staticmethod
    def fit_windows(
        panel: Panel, config: ModelConfig, cut_at: np.datetime64, *, require_targets: bool
    ) -> "tuple[Pipeline, PooledWindows]":
        """Return `fit` and the `windows` of its pipeline; the inputs are computed once for both.

        Args:
            panel: As in `fit`.
            config: As in `fit`.
            cut_at: As in `fit`.
            require_targets: As in `windows`.

        Raises:
            TooLittleHistory: As `fit`.
        """
        with Phase(FEATURES, rows=panel.bars):
            tables = reference_tables(config.references, panel.references, config.inputs)
            raw = panel_raw_inputs(panel, tables, config.inputs)
            stops = [_final_rows(history, cut_at) for history in panel.histories]
            # Causal: the first rows are those of the history cut there.
            pipeline = _fitted(config, _TrainRows(raw, stops), cut_at)
            rule = WindowRule(config.lookback, config.horizon, require_targets)
            return pipeline, pipeline._pool(panel, consumed(raw), rule)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the input columns, in order."""
        return input_names(self.references, self.inputs)

    @property
    def mask_columns(self) -> tuple[tuple[int, ...], ...]:
        """Columns of each reference, the mask channel last; masking sets all of them to 0."""
        return mask_columns_of(self.references, self.inputs)

    @property
    def newest_only(self) -> tuple[int, ...]:
        """Columns that a window holds at its newest session only."""
        if self.inputs is Inputs.CORE:
            return ()
        return tuple(index for index, name in enumerate(self.feature_names) if name not in EVERY_SESSION)

    def windows(self, panel: Panel, *, require_targets: bool, min_bars: int = MIN_BARS_TRAINING) -> PooledWindows:
        """Return all valid windows of a panel (see `windows.pool_windows`).

        Args:
            panel: Price histories and references.
            require_targets: Whether a window with any unknown target is left out.
            min_bars: Bars that a symbol must have up to as_of, inclusive.

        Returns:
            Windows ordered by symbol, then by as_of; `inputs` is `(rows, features)`.
        """
        with Phase(FEATURES, rows=panel.bars):
            tables = reference_tables(self.references, panel.references, self.inputs)
            raw = (raw_inputs(history, tables, self.inputs) for history in panel.histories)
            return self._pool(panel, raw, WindowRule(self.lookback, self.horizon, require_targets, min_bars))

    def _pool(
        self, panel: Panel, raw: Iterable[tuple[FloatArray, FloatArray]], rule: WindowRule
    ) -> PooledWindows:  # fmt: skip
        """Pool the valid windows of a panel over its scaled inputs."""
        sigmas: list[FloatArray] = []
        inputs = np.empty((panel.bars, len(self.feature_names)), dtype=np.float32)
        start = 0
        for values, sigma in raw:
            inputs[start : start + len(values)] = self.scaling.apply(values)
            sigmas.append(sigma)
            start += len(values)
            del values  # the last one would keep its block while the windows are filled
        return replace(pool_windows(panel.histories, sigmas, inputs, rule), newest_only=self.newest_only)

    def newest(self, panel: Panel) -> tuple[PooledWindows, tuple[SkippedSymbol, ...]]:
        """Return one window per symbol, which ends at the last session of its history.

        Only the last `INPUT_MEMORY + lookback` rows of a history are read, so a longer history gives the same window.
        Bars are counted over all rows of the panel: pass some more rows than that, so that a few holes do not count as
        a short history, and as many rows of the references.

        Args:
            panel: Price histories that end at as_of.

        Returns:
            Windows in the panel's order with unknown targets, and the skipped symbols, with the reason.
        """
        tables = reference_tables(self.references, panel.references, self.inputs)
        valid: list[_NewestInputs] = []
        skipped: list[SkippedSymbol] = []
        for index, history in enumerate(panel.histories):
            tail = history.slice(max(0, len(history) - INPUT_MEMORY - self.lookback), len(history))
            values, sigma = raw_inputs(tail, tables, self.inputs)
            reason = self._skip_reason(history, sigma)
            if reason is None:
                valid.append(_NewestInputs(index, history, self.scaling.apply(values[-self.lookback :]), sigma[-1]))
            else:
                skipped.append(SkippedSymbol(history.symbol, reason))
        return self._pool_newest(valid), tuple(skipped)

    def newest_inputs(
        self, history: Bars, newest: int, scores: CycleScores | None
    ) -> tuple[Float32Array, FloatArray]:  # fmt: skip
        """Return the scaled inputs of the last sessions of many histories, with all references masked.

        Args:
            history: `(..., n)` bars; the last `INPUT_MEMORY` sessions up to each returned one are read.
            newest: Number of last sessions to return, fewer than `n`.
            scores: The `cycle_scores` of all `n` sessions; None if the inputs are core ones.

        Returns:
            `(..., newest, features)` inputs and `(..., newest)` sigma, NaN where unknown.
        """
        columns, sigma = own_columns(history, self.inputs, newest, scores)
        flat, unknown = sigma.reshape(-1), np.full(sigma.size, np.datetime64("NaT"), "datetime64[s]")
        for table in reference_tables(self.references, {}, self.inputs):
            columns.append(join(table, unknown, flat).reshape(*sigma.shape, -1))
        return self.scaling.apply(np.concatenate(columns, axis=-1)), sigma

    def degraded(self, panel: Panel) -> tuple[tuple[str, ...], ...]:
        """Return, per symbol of the panel, the trained references that are masked anywhere in its newest window."""
        tables = [
            table
            for table in reference_tables(self.references, panel.references)
            if table.reference.symbol in self.trained_references
        ]
        return tuple(
            tuple(table.reference.symbol for table in tables if masked(table, history.final_at[-self.lookback :]))
            for history in panel.histories
        )

    def to_dict(self) -> dict[str, object]:
        """Return the JSON-serialisable form; floats survive the round trip exactly."""
        return {
            "lookback": self.lookback,
            "horizon": self.horizon,
            "references": [[reference.symbol, reference.role.value] for reference in self.references],
            "feature_names": list(self.feature_names),
            "centre": list(self.scaling.centre),
            "scale": list(self.scaling.scale),
            "trained_references": list(self.trained_references),
            "inputs": self.inputs.value,
        }

    @staticmethod
    def from_dict(data: dict[str, object]) -> "Pipeline":
        """Build a pipeline from the form of `to_dict`.

        Raises:
            ArtifactError: It was fitted on inputs that differ from those of this version.
        """
        try:
            pairs: list[list[str]] = data["references"]  # type: ignore[assignment]
            centre: list[float] = data["centre"]  # type: ignore[assignment]
            scale: list[float] = data["scale"]  # type: ignore[assignment]
            trained: list[str] = data["trained_references"]  # type: ignore[assignment]
            references = tuple(Reference(symbol, ReferenceRole(role)) for symbol, role in pairs)
            names, lookback, horizon = data["feature_names"], int(str(data["lookback"])), int(str(data["horizon"]))
            inputs = Inputs(str(data.get("inputs", Inputs.CORE)))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"the stored pipeline cannot be read ({error!r}); train the version again") from error
        expected = list(input_names(references, inputs))
        if names != expected or not len(centre) == len(scale) == len(expected):
            raise ArtifactError(
                f"the stored pipeline has the inputs {names}, this version makes {expected}; train the version again"
            )
        return Pipeline(lookback, horizon, references, Scaling(tuple(centre), tuple(scale)), tuple(trained), inputs)

    def _skip_reason(self, history: PriceHistory, sigma: FloatArray) -> str | None:
        """Return why the last session of a history gets no window, or None; `sigma` is that of its last rows."""
        if not len(history):
            return "it has no sessions yet"
        as_of = history.sessions[-1]
        present = ~np.isnan(history.close)
        if not present[-1]:
            return f"the bar of {as_of} is missing, and without it there is no forecast"
        bars = int(present.sum())
        if bars < MIN_HISTORY_NETWORK:
            return f"it has {bars} bars up to {as_of}; a network needs {MIN_HISTORY_NETWORK}"
        holes = history.sessions[-self.lookback :][~present[-self.lookback :]]
        if len(holes):
            return f"the bar of {holes[-1]} is missing from the window of {self.lookback} sessions up to {as_of}"
        if np.isnan(sigma[-self.lookback :]).any():
            return f"too many of the {MEMORY} sessions before {as_of} have no bar, so its volatility is unknown"
        return stale_reason(history)

    def _pool_newest(self, valid: list[_NewestInputs]) -> PooledWindows:
        """Pool one window per symbol."""
        n = len(valid)
        empty = np.empty((0, len(self.feature_names)), dtype=np.float32)
        return PooledWindows(
            inputs=np.concatenate([empty, *(window.inputs for window in valid)]),
            ends=np.arange(1, n + 1, dtype=np.int64) * self.lookback - 1,
            lookback=self.lookback,
            sigma=np.array([window.sigma for window in valid], dtype=np.float64),
            targets=np.full((n, self.horizon), np.nan),
            symbol_index=np.array([window.index for window in valid], dtype=np.int64),
            as_of=np.array([window.history.sessions[-1] for window in valid], dtype="datetime64[D]"),
            final_at=np.array([window.history.final_at[-1] for window in valid], dtype="datetime64[s]"),
            target_final_at=np.full((n, self.horizon), np.datetime64("NaT"), dtype="datetime64[s]"),
            newest_only=self.newest_only,
        )


def cut_windows(
    panel: Panel, config: ModelConfig, *, require_targets: bool, min_bars: int = MIN_BARS_TRAINING
) -> PooledWindows:
    """Return the windows of `Pipeline.windows`, in the same order, without their inputs.

    The spans are computed on these before a pipeline is fitted, so that its statistics use the train span only.

    Args:
        panel: Price histories; references are not read.
        config: Gives lookback and horizon.
        require_targets: As in `Pipeline.windows`.
        min_bars: As in `Pipeline.windows`.

    Returns:
        Windows whose `inputs` has no columns.
    """
    rule = WindowRule(config.lookback, config.horizon, require_targets, min_bars)
    with Phase(FEATURES, rows=panel.bars):
        sigmas = [ewma_sigma(history.close) for history in panel.histories]
        return pool_windows(panel.histories, sigmas, np.empty((panel.bars, 0), dtype=np.float32), rule)


class _TrainRows(Sequence[FloatArray]):
    """The unscaled inputs of each symbol at its sessions with a sigma, up to a row; selected at each access."""

    def __init__(self, raw: Sequence[tuple[FloatArray, FloatArray]], stops: Sequence[int]) -> None:
        self._raw, self._stops = raw, stops

    def __len__(self) -> int:
        return len(self._raw)

    def __getitem__(self, index: Any) -> Any:
        values, sigma = self._raw[index]
        return values[: self._stops[index]][~np.isnan(sigma[: self._stops[index]])]


def _final_rows(history: PriceHistory, cut_at: np.datetime64) -> int:
    """Return the number of sessions that are final by an instant."""
    return int(np.searchsorted(history.final_at, cut_at, side="right"))


def _fitted(config: ModelConfig, parts: Sequence[FloatArray], cut_at: np.datetime64) -> Pipeline:
    """Return the pipeline with the scaling of the train span, given each symbol's unscaled inputs there.

    Raises:
        TooLittleHistory: There are none.
    """
    references, inputs = config.references, config.inputs
    if not sum(len(part) for part in parts):
        raise TooLittleHistory(
            f"no session of the {len(parts)} symbols has a known volatility by {cut_at}; pull more history"
        )
    channels = tuple(columns[-1] for columns in mask_columns_of(references, inputs))
    trained = tuple(
        reference.symbol
        for reference, channel in zip(references, channels, strict=True)
        if any(part[:, channel].any() for part in parts)
    )
    return Pipeline(config.lookback, config.horizon, references, fit_scaling(parts, channels), trained, inputs)
