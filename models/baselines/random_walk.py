"""The random walk that knows volatility: the reference every network is measured against."""

from dataclasses import dataclass

import numpy as np

from models.baselines.base import baseline_config, no_sigma, sigma_rows
from models.config import MEMORY, QUANTILES, ModelConfig, Strategy
from models.errors import ArtifactError
from models.forecaster import ForecastBatch, Refusal
from models.preprocessing.features import ewma_sigma
from models.preprocessing.frame import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import MIN_BARS_TRAINING

NETWORK = "random_walk"
"""Its name among the architectures."""

MIN_RESIDUALS = 250
"""Pooled residuals of a step below which standard normal quantiles stand in for measured ones."""

STANDARD_NORMAL = (-1.959964, -1.281552, -0.67449, 0.0, 0.67449, 1.281552, 1.959964)
"""Quantiles of the standard normal distribution at `specs.QUANTILES`."""


@dataclass(frozen=True, slots=True)
class RandomWalk:
    """Per step the pooled quantiles of `y / (sigma * sqrt(step))`, times `sigma * sqrt(step)`.

    Attributes:
        recipe: Its strategy gives the horizon; its architecture is `random_walk`.
        quantiles: `(horizon, 7)` of the scaled residuals, ascending per step.
        residuals: Per step the number of residuals behind them; under `MIN_RESIDUALS` the quantiles are
            those of the standard normal.
        fitted_until: UTC instant by which every residual was final, seconds since 1970; None without any.
    """

    config: ModelConfig
    quantiles: tuple[tuple[float, ...], ...]
    residuals: tuple[int, ...]
    fitted_until: int | None

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every frame from its last session; holes elsewhere do no harm.

        Args:
            panel: Frames that end at as_of; references are not read.

        Returns:
            A forecast per frame, or a refusal where as_of's bar is missing or bars are too few.
        """
        kept: list[tuple[PriceHistory, float]] = []
        refusals: list[Refusal] = []
        for frame in panel.frames:
            close = frame.close[-MEMORY:]
            sigma = float(ewma_sigma(close)[-1]) if len(close) else float("nan")
            if np.isnan(sigma):
                refusals.append(Refusal(frame.symbol, no_sigma(frame)))
            else:
                kept.append((frame, sigma))
        sigmas = np.array([sigma for _, sigma in kept], dtype=np.float64)
        return ForecastBatch(
            symbols=tuple(frame.symbol for frame, _ in kept),
            quantiles=self.at(sigmas),
            sigma=sigmas,
            last_close=np.array([frame.close[-1] for frame, _ in kept], dtype=np.float64),
            degraded=((),) * len(kept),
            refusals=tuple(refusals),
        )

    def at(self, sigma: FloatArray) -> FloatArray:
        """Quantiles for known volatilities, the many at once that judging needs.

        Args:
            sigma: `(n,)` EWMA daily volatility known at as_of.

        Returns:
            `(n, horizon, 7)` cumulative log returns, ascending along the last axis.
        """
        quantiles: FloatArray = sigma[:, None, None] * scale_of_steps(len(self.quantiles)) * np.asarray(self.quantiles)
        return quantiles

    def to_dict(self) -> dict[str, object]:
        """Plain JSON-able form; floats survive the round trip exactly."""
        return {
            "config": self.config.to_dict(),
            "quantiles": [list(row) for row in self.quantiles],
            "residuals": list(self.residuals),
            "fitted_until": self.fitted_until,
        }

    @staticmethod
    def from_dict(data: dict[str, object]) -> "RandomWalk":
        """Rebuild from `to_dict`.

        Raises:
            ArtifactError: It is not a random walk of this version's form.
        """
        try:
            config = ModelConfig.from_dict(data["config"])  # type: ignore[arg-type]
            rows: list[list[float]] = data["quantiles"]  # type: ignore[assignment]
            residuals: list[int] = data["residuals"]  # type: ignore[assignment]
            until: int | None = data["fitted_until"]  # type: ignore[assignment]
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"the stored random walk cannot be read ({error!r}); fit it again") from error
        if len(rows) != config.horizon or any(len(row) != len(QUANTILES) for row in rows):
            raise ArtifactError(
                f"the stored random walk has {len(rows)} steps where {config.horizon} of {len(QUANTILES)} quantiles "
                "are needed; fit it again"
            )
        return RandomWalk(config, tuple(tuple(row) for row in rows), tuple(residuals), until)


def random_walk_config(strategy: Strategy) -> ModelConfig:
    """The one recipe of the random walk for a strategy: no references, no network."""
    return baseline_config(NETWORK, strategy)


def fit_random_walk(panel: Panel, config: ModelConfig, cut_at: np.datetime64) -> RandomWalk:
    """Pool the scaled residuals of every session with a bar and a sigma, per step.

    It never fails for want of data: a young group is served with normal quantiles until it has
    `MIN_RESIDUALS` residuals.

    Args:
        panel: Frames; may reach beyond the cut. References are not read.
        recipe: Its strategy gives the horizon; see `random_walk_config`.
        cut_at: UTC instant, inclusive: only targets final by then count.
    """
    windows = sigma_rows(panel, config.horizon, MIN_BARS_TRAINING)
    known = windows.target_final_at <= cut_at
    quantiles, counts = [], []
    for step in range(config.horizon):
        residuals = windows.targets[known[:, step], step]
        enough = len(residuals) >= MIN_RESIDUALS
        measured = np.quantile(residuals, QUANTILES) if enough else np.asarray(STANDARD_NORMAL)
        quantiles.append(tuple(measured.tolist()))
        counts.append(len(residuals))
    until = int(windows.target_final_at[known].max().astype(np.int64)) if known.any() else None
    return RandomWalk(config, tuple(quantiles), tuple(counts), until)


def scale_of_steps(horizon: int) -> FloatArray:
    """`(horizon, 1)` square roots of the steps 1..horizon."""
    roots: FloatArray = np.sqrt(np.arange(1, horizon + 1, dtype=np.float64))[:, None]
    return roots
