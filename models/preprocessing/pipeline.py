"""From a panel to windows: the one way, in training and in serving alike, to make inputs.

A pipeline is fitted once on the fit span and stored in the artifact. Layout of the columns: the own
inputs, then for each reference its values and its mask channel.
"""

from dataclasses import dataclass, replace

import numpy as np

from models.config import INPUT_MEMORY, MEMORY, MIN_HISTORY_NETWORK, Inputs, ModelConfig, Reference, ReferenceRole
from models.errors import ArtifactError, TooLittleHistory
from models.forecaster import Refusal
from models.preprocessing.extended_features import EVERY_SESSION, EXTENDED_FEATURES, extended_features
from models.preprocessing.features import OWN_FEATURES, ewma_sigma, own_features
from models.preprocessing.frame import FloatArray, Panel, PriceHistory
from models.preprocessing.reference_join import ReferenceTable, join, masked, reference_names, reference_tables
from models.preprocessing.scaling import Scaling, fit_scaling
from models.preprocessing.windows import MIN_BARS_TRAINING, Float32Array, PooledWindows, WindowRule, pool_windows


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Features, scaling and windows, fitted and frozen.

    Attributes:
        lookback: Sessions in a window.
        horizon: Steps of the targets.
        references: Reference series, in input order.
        scaling: Centre and scale of each input column, from the fit span alone.
        trained_references: Symbols of the references that had any unmasked row in the fit span.
        inputs: Which inputs.
    """

    lookback: int
    horizon: int
    references: tuple[Reference, ...]
    scaling: Scaling
    trained_references: tuple[str, ...]
    inputs: Inputs = Inputs.CORE

    @staticmethod
    def fit(panel: Panel, config: ModelConfig, cut_at: np.datetime64) -> "Pipeline":
        """Fit the scaling on the sessions that are final by an instant.

        Args:
            panel: Frames and references; may reach beyond the cut.
            recipe: Its lookback, strategy and references.
            cut_at: UTC instant, inclusive: only sessions with `final_at <= cut_at` enter a statistic.

        Raises:
            TooLittleHistory: No session with a known sigma is final by then.
        """
        references, inputs = config.references, config.inputs
        tables = reference_tables(references, panel.references, inputs)
        rows = [_fit_rows(frame, tables, inputs, cut_at) for frame in panel.frames]
        values = np.concatenate([np.empty((0, len(_names(references, inputs)))), *rows])
        if not len(values):
            raise TooLittleHistory(
                f"no session of the {len(panel.frames)} frames has a known volatility by {cut_at}; pull more history"
            )
        channels = tuple(columns[-1] for columns in _mask_columns(references, inputs))
        trained = tuple(
            reference.symbol
            for reference, channel in zip(references, channels, strict=True)
            if values[:, channel].any()
        )
        scaling = fit_scaling(values, channels)
        return Pipeline(config.lookback, config.horizon, references, scaling, trained, inputs)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the input columns, in order."""
        return _names(self.references, self.inputs)

    @property
    def mask_columns(self) -> tuple[tuple[int, ...], ...]:
        """Per reference its columns, the mask channel last: what is zeroed together to mask it."""
        return _mask_columns(self.references, self.inputs)

    @property
    def newest_only(self) -> tuple[int, ...]:
        """Columns that a window holds at its newest session alone."""
        if self.inputs is Inputs.CORE:
            return ()
        return tuple(index for index, name in enumerate(self.feature_names) if name not in EVERY_SESSION)

    def windows(self, panel: Panel, *, require_targets: bool, min_bars: int = MIN_BARS_TRAINING) -> PooledWindows:
        """Cut every valid window of a panel (see `windows.pool_windows`).

        Args:
            panel: Frames and references.
            require_targets: Whether a window with any unknown target is left out.
            min_bars: Bars a symbol must have so far, as_of included.

        Returns:
            Windows ordered by symbol, then by as_of; `inputs` is `(rows, features)`.
        """
        tables = reference_tables(self.references, panel.references, self.inputs)
        sigmas: list[FloatArray] = []
        inputs = np.empty((sum(len(frame) for frame in panel.frames), len(self.feature_names)), dtype=np.float32)
        start = 0
        for frame in panel.frames:
            values, sigma = _raw_inputs(frame, tables, self.inputs)
            inputs[start : start + len(frame)] = self.scaling.apply(values)
            sigmas.append(sigma)
            start += len(frame)
        rule = WindowRule(self.lookback, self.horizon, require_targets, min_bars)
        return replace(pool_windows(panel.frames, sigmas, inputs, rule), newest_only=self.newest_only)

    def newest(self, panel: Panel) -> tuple[PooledWindows, tuple[Refusal, ...]]:
        """One window per frame, ending at the frame's last session.

        Only the last `INPUT_MEMORY + lookback` rows of a frame are read, so a longer history gives the very same
        window. Bars are counted over all rows handed in: hand in some more rows than that, so that a
        few holes do not look like a short history, and as many of the references.

        Args:
            panel: Frames that end at as_of.

        Returns:
            Windows in the panel's order with unknown targets, and a refusal for each frame without one.
        """
        tables = reference_tables(self.references, panel.references, self.inputs)
        kept: list[tuple[int, PriceHistory, Float32Array, FloatArray]] = []
        refusals: list[Refusal] = []
        for index, frame in enumerate(panel.frames):
            tail = frame.slice(max(0, len(frame) - INPUT_MEMORY - self.lookback), len(frame))
            values, sigma = _raw_inputs(tail, tables, self.inputs)
            reason = self._reason_against(frame, sigma)
            if reason is None:
                kept.append((index, frame, self.scaling.apply(values[-self.lookback :]), sigma))
            else:
                refusals.append(Refusal(frame.symbol, reason))
        return self._one_each(kept), tuple(refusals)

    def degraded(self, panel: Panel) -> tuple[tuple[str, ...], ...]:
        """Per frame of the panel, the trained references masked anywhere in its newest window."""
        tables = [
            table
            for table in reference_tables(self.references, panel.references)
            if table.reference.symbol in self.trained_references
        ]
        return tuple(
            tuple(table.reference.symbol for table in tables if masked(table, frame.final_at[-self.lookback :]))
            for frame in panel.frames
        )

    def to_dict(self) -> dict[str, object]:
        """Plain JSON-able form; floats survive the round trip exactly."""
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
        """Rebuild a pipeline from `to_dict`.

        Raises:
            ArtifactError: It was fitted on other inputs than this version makes.
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
        made = list(_names(references, inputs))
        if names != made or not len(centre) == len(scale) == len(made):
            raise ArtifactError(f"the stored pipeline has inputs {names}, this version makes {made}; train it again")
        return Pipeline(lookback, horizon, references, Scaling(tuple(centre), tuple(scale)), tuple(trained), inputs)

    def _reason_against(self, frame: PriceHistory, sigma: FloatArray) -> str | None:
        """Why the frame's last session gets no window, or None; `sigma` is that of the frame's tail."""
        if not len(frame):
            return "it has no sessions yet"
        as_of = frame.sessions[-1]
        present = ~np.isnan(frame.close)
        if not present[-1]:
            return f"the bar of {as_of} is missing, and without it there is no forecast"
        bars = int(present.sum())
        if bars < MIN_HISTORY_NETWORK:
            return f"it has {bars} bars up to {as_of}; a network needs {MIN_HISTORY_NETWORK}"
        holes = frame.sessions[-self.lookback :][~present[-self.lookback :]]
        if len(holes):
            return f"the bar of {holes[-1]} is missing from the window of {self.lookback} sessions up to {as_of}"
        if np.isnan(sigma[-self.lookback :]).any():
            return f"too many of the {MEMORY} sessions before {as_of} have no bar to know its volatility"
        return None

    def _one_each(self, kept: list[tuple[int, PriceHistory, Float32Array, FloatArray]]) -> PooledWindows:
        """Pool one window per kept frame."""
        n = len(kept)
        blank = np.empty((0, len(self.feature_names)), dtype=np.float32)
        return PooledWindows(
            inputs=np.concatenate([blank, *(inputs for _, _, inputs, _ in kept)]),
            ends=np.arange(1, n + 1, dtype=np.int64) * self.lookback - 1,
            lookback=self.lookback,
            sigma=np.array([sigma[-1] for _, _, _, sigma in kept], dtype=np.float64),
            targets=np.full((n, self.horizon), np.nan),
            symbol_index=np.array([index for index, _, _, _ in kept], dtype=np.int64),
            as_of=np.array([frame.sessions[-1] for _, frame, _, _ in kept], dtype="datetime64[D]"),
            final_at=np.array([frame.final_at[-1] for _, frame, _, _ in kept], dtype="datetime64[s]"),
            target_final_at=np.full((n, self.horizon), np.datetime64("NaT"), dtype="datetime64[s]"),
            newest_only=self.newest_only,
        )


def cut_windows(
    panel: Panel, config: ModelConfig, *, require_targets: bool, min_bars: int = MIN_BARS_TRAINING
) -> PooledWindows:
    """The windows that `Pipeline.windows` cuts, in the same order, without their inputs.

    Spans are found on these before a pipeline is fitted, so that its statistics can stop at the fit span.

    Args:
        panel: Frames; references are not read.
        recipe: Its lookback and horizon.
        require_targets: As in `Pipeline.windows`.
        min_bars: As in `Pipeline.windows`.

    Returns:
        Windows whose `inputs` has no columns.
    """
    sigmas = [ewma_sigma(frame.close) for frame in panel.frames]
    inputs = np.empty((sum(len(frame) for frame in panel.frames), 0), dtype=np.float32)
    return pool_windows(
        panel.frames, sigmas, inputs, WindowRule(config.lookback, config.horizon, require_targets, min_bars)
    )


def _raw_inputs(
    frame: PriceHistory, tables: tuple[ReferenceTable, ...], inputs: Inputs
) -> tuple[FloatArray, FloatArray]:
    """`(n, features)` unscaled inputs of a symbol, NaN where unknown, and its `(n,)` sigma."""
    own, sigma = own_features(frame)
    columns = [own] if inputs is Inputs.CORE else [own, extended_features(frame, sigma)]
    return np.column_stack([*columns, *(join(table, frame.final_at, sigma) for table in tables)]), sigma


def _fit_rows(
    frame: PriceHistory, tables: tuple[ReferenceTable, ...], inputs: Inputs, cut_at: np.datetime64
) -> FloatArray:
    """Unscaled inputs of the sessions that are final by the cut and have a sigma."""
    stop = int(np.searchsorted(frame.final_at, cut_at, side="right"))
    values, sigma = _raw_inputs(frame.until(stop), tables, inputs)
    return values[~np.isnan(sigma)]


def _own_names(inputs: Inputs) -> tuple[str, ...]:
    """Names of the columns that a symbol's own bars give."""
    return OWN_FEATURES if inputs is Inputs.CORE else OWN_FEATURES + EXTENDED_FEATURES


def _names(references: tuple[Reference, ...], inputs: Inputs) -> tuple[str, ...]:
    """Input column names for a set of references."""
    return _own_names(inputs) + tuple(name for reference in references for name in reference_names(reference, inputs))


def _mask_columns(references: tuple[Reference, ...], inputs: Inputs) -> tuple[tuple[int, ...], ...]:
    """Per reference the columns it adds, the mask channel last."""
    columns: list[tuple[int, ...]] = []
    start = len(_own_names(inputs))
    for reference in references:
        width = len(reference_names(reference, inputs))
        columns.append(tuple(range(start, start + width)))
        start += width
    return tuple(columns)
