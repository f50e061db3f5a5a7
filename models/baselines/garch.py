"""GJR-GARCH(1,1) with Student's t, one per symbol (Glosten, Jagannathan and Runkle 1993; Bollerslev 1987).

The arch package estimates the parameters once. They are fixed afterwards, and the variance is filtered forward here
session by session, so that a forecast needs no estimation. Quantiles are simulated with fixed draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.baselines.base import baseline_config, rows_by_symbol, serve
from models.config import QUANTILES, ModelConfig, Strategy
from models.errors import ModelsError
from models.forecaster import ForecastBatch, SkippedSymbol
from models.preprocessing.price_history import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import PooledWindows, known_returns

GARCH = "garch"
"""Name of the forecaster."""

PATHS = 4_096
"""Simulated paths of each forecast."""

_DRAWS_PER_VALUE = 64
"""Draws that are averaged to each value of the simulated distribution."""

SEED = 20_010
"""Seed of the draws, the same for every symbol and session."""

MIN_RETURNS = 500
"""Returns of a symbol below which its parameters are not estimated."""

_PERCENT = 100.0
"""The optimiser works on returns in percent: variances near 1 keep it well scaled."""

_CHUNK = 64
"""Rows simulated in one step."""


@dataclass(frozen=True, slots=True)
class GarchParameters:
    """Parameters of one symbol, for returns in percent.

    Attributes:
        mu: Mean return.
        omega: Constant of the variance.
        alpha: Weight of the last squared shock.
        gamma: Additional weight of it where the shock was negative.
        beta: Weight of the last variance.
        nu: Degrees of freedom of the t distribution, above 2.
        start: Variance before the first return.
    """

    mu: float
    omega: float
    alpha: float
    gamma: float
    beta: float
    nu: float
    start: float

    def next_variance(self, shock: FloatArray, variance: FloatArray) -> FloatArray:
        """Return the variance after a shock; an unknown shock (NaN) counts as its expectation."""
        weight = self.alpha + self.gamma * (shock < 0)
        known = weight * shock**2
        expected = (self.alpha + 0.5 * self.gamma) * variance
        following: FloatArray = self.omega + np.where(np.isnan(shock), expected, known) + self.beta * variance
        return following


@dataclass(frozen=True, slots=True)
class Garch:
    """One set of parameters per symbol, fixed since the fit.

    Attributes:
        config: Its strategy gives the horizon.
        parameters: By symbol.
        skipped: The symbols without estimated parameters, with the reason.
    """

    config: ModelConfig
    parameters: Mapping[str, GarchParameters]
    skipped: tuple[SkippedSymbol, ...]

    def forecast_rows(self, panel: Panel, rows: PooledWindows) -> FloatArray:
        """Forecast rows of a panel; the variance is filtered from the first return of each symbol."""
        quantiles = np.full((len(rows), self.config.horizon, len(QUANTILES)), np.nan)
        for part in rows_by_symbol(panel, rows):
            parameters = self.parameters.get(part.history.symbol)
            if parameters is not None:
                variances = filter_variance(known_returns(part.history, 1), parameters)[part.rows]
                quantiles[part.positions] = simulate(parameters, variances, self.config.horizon)
        return quantiles

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every symbol from its last session; references are not read."""
        return serve(self, panel)

    def skip_reason(self, history: PriceHistory) -> str:
        """Return why a history with a sigma is not forecast."""
        reasons = [skipped.reason for skipped in self.skipped if skipped.symbol == history.symbol]
        return reasons[0] if reasons else "no parameters were estimated for it; fit garch with this symbol in the panel"


def fit_garch(panel: Panel, strategy: Strategy, cut_at: np.datetime64) -> Garch:
    """Estimate the parameters of each symbol from its returns up to an instant.

    Args:
        panel: Price histories; may end after the cut. Returns across a hole are left out.
        strategy: Gives the horizon.
        cut_at: UTC instant, inclusive: only bars final by then count.

    Raises:
        ModelsError: The arch package is not installed.
    """
    parameters: dict[str, GarchParameters] = {}
    skipped: list[SkippedSymbol] = []
    for history in panel.histories:
        returns = known_returns(history, 1)[history.final_at <= cut_at]
        estimated = _estimate(returns[~np.isnan(returns)] * _PERCENT)
        if isinstance(estimated, GarchParameters):
            parameters[history.symbol] = estimated
        else:
            skipped.append(SkippedSymbol(history.symbol, f"{estimated} by {cut_at}, so garch is not fitted for it"))
    return Garch(baseline_config(GARCH, strategy), parameters, tuple(skipped))


def filter_variance(returns: FloatArray, parameters: GarchParameters) -> FloatArray:
    """Return the variance of the next session, known at each row.

    Args:
        returns: `(n,)` log returns that end at each row; NaN where unknown.
        parameters: Parameters of the symbol.

    Returns:
        `(n,)` in percent squared.
    """
    shocks = returns * _PERCENT - parameters.mu
    weighted = (parameters.alpha + parameters.gamma * (shocks < 0)) * shocks**2
    variances = np.empty(len(shocks))
    variance, expected = parameters.start, parameters.alpha + 0.5 * parameters.gamma
    for row, term in enumerate(weighted.tolist()):
        if term != term:
            term = expected * variance
        variance = parameters.omega + term + parameters.beta * variance
        variances[row] = variance
    return variances


def simulate(parameters: GarchParameters, variances: FloatArray, horizon: int) -> FloatArray:
    """Return simulated quantiles of the cumulative return after 1..horizon sessions.

    Args:
        parameters: Parameters of the symbol.
        variances: `(n,)` variance of the next session, percent squared.
        horizon: Steps.

    Returns:
        `(n, horizon, 7)` log returns, ascending along the last axis.
    """
    draws = _draws(parameters.nu, horizon)
    quantiles = np.empty((len(variances), horizon, len(QUANTILES)))
    for start in range(0, len(variances), _CHUNK):
        variance = np.repeat(variances[start : start + _CHUNK, None], PATHS, axis=1)
        total = np.zeros_like(variance)
        for step in range(horizon):
            shock = np.sqrt(variance) * draws[step]
            total += parameters.mu + shock
            quantiles[start : start + _CHUNK, step] = _quantiles(total) / _PERCENT
            if step + 1 < horizon:
                variance = parameters.next_variance(shock, variance)
    return quantiles


def _draws(nu: float, horizon: int) -> FloatArray:
    """Return `(horizon, PATHS)` values of Student's t with variance 1.

    Each step has the same symmetric, evenly spread values in another order: plain draws have two percent of noise in
    the outer quantiles.
    """
    random = np.random.default_rng(SEED)
    sizes = np.sort(np.abs(random.standard_t(nu, _DRAWS_PER_VALUE * PATHS // 2)))
    half = sizes.reshape(PATHS // 2, _DRAWS_PER_VALUE).mean(axis=1) * np.sqrt((nu - 2) / nu)
    values = np.concatenate([half, -half])
    return np.stack([random.permutation(values) for _ in range(horizon)])


def _quantiles(paths: FloatArray) -> FloatArray:
    """Return `(n, 7)` quantiles of `(n, PATHS)`, equal to `np.quantile`, which takes ten times as long."""
    ordered = np.sort(paths, axis=1)
    position = np.asarray(QUANTILES) * (paths.shape[1] - 1)
    low = np.floor(position).astype(np.int64)
    quantiles: FloatArray = ordered[:, low] + (position - low) * (ordered[:, low + 1] - ordered[:, low])
    return quantiles


def _estimate(returns: FloatArray) -> GarchParameters | str:
    """Return the parameters of one symbol's returns in percent, or why there are none."""
    if len(returns) < MIN_RETURNS:
        return f"it has {len(returns)} returns where {MIN_RETURNS} are needed"
    if float(returns.std()) < 1e-6:
        return "its price never changed"
    result = _arch_model(returns).fit(disp="off", show_warning=False)
    values = {name: float(value) for name, value in result.params.items()}
    parameters = GarchParameters(
        mu=values["mu"],
        omega=values["omega"],
        alpha=values["alpha[1]"],
        gamma=values["gamma[1]"],
        beta=values["beta[1]"],
        nu=values["nu"],
        start=float(returns.var()),
    )
    if result.convergence_flag != 0 or not np.isfinite(list(values.values())).all() or parameters.nu <= 2:
        return f"the estimation from {len(returns)} returns did not converge"
    return parameters


def _arch_model(returns: FloatArray) -> Any:
    """Return the model of the arch package, an optional dependency that only this baseline needs."""
    try:
        from arch import arch_model
    except ImportError as error:
        raise ModelsError(
            "the baseline garch needs the arch package, which is not installed; install tplus[backtest], or leave "
            "garch out of --baselines"
        ) from error
    return arch_model(returns, mean="Constant", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False)
