"""GJR-GARCH(1,1) with Student's t, one per symbol (Glosten, Jagannathan and Runkle 1993; Bollerslev 1987).

Parameters are estimated once, by the arch package; from then on they stand and the variance is filtered
forward session by session here, so that a forecast costs no estimation. Quantiles are simulated with fixed draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.baselines.base import baseline_config, log_returns, rows_by_image, serve
from models.config import QUANTILES, ModelConfig, Strategy
from models.errors import ModelsError
from models.forecaster import ForecastBatch, Refusal
from models.preprocessing.frame import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import PooledWindows

GARCH = "garch"
"""Its name among the forecasters."""

PATHS = 4_096
"""Simulated paths of each forecast."""

_FINENESS = 64
"""Draws behind each value of the distribution that paths are made of."""

SEED = 20_010
"""Seed of the draws, the same for every symbol and session."""

LEAST_RETURNS = 500
"""Returns of a symbol below which nothing is estimated."""

_PERCENT = 100.0
"""The optimiser works on returns in percent: variances near 1 keep it well scaled."""

_CHUNK = 64
"""Rows simulated at once."""


@dataclass(frozen=True, slots=True)
class GarchParameters:
    """Of one symbol, returns in percent.

    Attributes:
        mu: Mean return.
        omega: Constant of the variance.
        alpha: Weight of the last squared shock.
        gamma: Further weight of it where the shock was negative.
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
        """Variance of the session after a shock; an unknown shock (NaN) counts as its expectation."""
        weight = self.alpha + self.gamma * (shock < 0)
        known = weight * shock**2
        expected = (self.alpha + 0.5 * self.gamma) * variance
        following: FloatArray = self.omega + np.where(np.isnan(shock), expected, known) + self.beta * variance
        return following


@dataclass(frozen=True, slots=True)
class Garch:
    """One set of parameters a symbol, fixed since the fit.

    Attributes:
        recipe: Its strategy gives the horizon.
        parameters: By symbol.
        refusals: The symbols that nothing could be estimated for, with the reason.
    """

    config: ModelConfig
    parameters: Mapping[str, GarchParameters]
    refusals: tuple[Refusal, ...]

    def over(self, panel: Panel, rows: PooledWindows) -> FloatArray:
        """Forecast rows of a panel; the variance is filtered from each frame's first return on."""
        answer = np.full((len(rows), self.config.horizon, len(QUANTILES)), np.nan)
        for part in rows_by_image(panel, rows):
            parameters = self.parameters.get(part.frame.symbol)
            if parameters is not None:
                variances = filter_variance(log_returns(part.frame.close, 1), parameters)[part.rows]
                answer[part.places] = simulate(parameters, variances, self.config.horizon)
        return answer

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every frame from its last session; references are not read."""
        return serve(self, panel)

    def reason_against(self, frame: PriceHistory) -> str:
        """Why a frame with a sigma gets no forecast."""
        found = [refusal.reason for refusal in self.refusals if refusal.symbol == frame.symbol]
        return found[0] if found else "no parameters were estimated for it; fit garch with this symbol in the panel"


def fit_garch(panel: Panel, strategy: Strategy, cut_at: np.datetime64) -> Garch:
    """Estimate every symbol's parameters on its returns up to an instant.

    Args:
        panel: Frames; may reach beyond the cut. A hole leaves its returns out.
        strategy: Gives the horizon.
        cut_at: UTC instant, inclusive: only bars final by then count.

    Raises:
        ModelsError: The arch package is not installed.
    """
    parameters: dict[str, GarchParameters] = {}
    refusals: list[Refusal] = []
    for frame in panel.frames:
        returns = log_returns(frame.close, 1)[frame.final_at <= cut_at]
        found = _estimate(returns[~np.isnan(returns)] * _PERCENT)
        if isinstance(found, GarchParameters):
            parameters[frame.symbol] = found
        else:
            refusals.append(Refusal(frame.symbol, f"{found} by {cut_at}, so garch is not fitted for it"))
    return Garch(baseline_config(GARCH, strategy), parameters, tuple(refusals))


def filter_variance(returns: FloatArray, parameters: GarchParameters) -> FloatArray:
    """Variance of the next session, known at each row.

    Args:
        returns: `(n,)` log returns that end at each row; NaN where unknown.
        parameters: Fixed.

    Returns:
        `(n,)` in percent squared.
    """
    shocks = returns * _PERCENT - parameters.mu
    pulled = (parameters.alpha + parameters.gamma * (shocks < 0)) * shocks**2
    answer = np.empty(len(shocks))
    variance, expected = parameters.start, parameters.alpha + 0.5 * parameters.gamma
    for row, pull in enumerate(pulled.tolist()):
        if pull != pull:
            pull = expected * variance
        variance = parameters.omega + pull + parameters.beta * variance
        answer[row] = variance
    return answer


def simulate(parameters: GarchParameters, variances: FloatArray, horizon: int) -> FloatArray:
    """Quantiles of the cumulative return after 1..horizon sessions.

    Args:
        parameters: Of the symbol.
        variances: `(n,)` variance of the next session, percent squared.
        horizon: Steps.

    Returns:
        `(n, horizon, 7)` log returns, ascending along the last axis.
    """
    draws = _draws(parameters.nu, horizon)
    answer = np.empty((len(variances), horizon, len(QUANTILES)))
    for start in range(0, len(variances), _CHUNK):
        variance = np.repeat(variances[start : start + _CHUNK, None], PATHS, axis=1)
        total = np.zeros_like(variance)
        for step in range(horizon):
            shock = np.sqrt(variance) * draws[step]
            total += parameters.mu + shock
            answer[start : start + _CHUNK, step] = _quantiles(total) / _PERCENT
            if step + 1 < horizon:
                variance = parameters.next_variance(shock, variance)
    return answer


def _draws(nu: float, horizon: int) -> FloatArray:
    """`(horizon, PATHS)` of Student's t with variance 1.

    The same symmetric, evenly spread values in another order at each step: plain draws would leave two percent of
    noise in the outer quantiles.
    """
    random = np.random.default_rng(SEED)
    sizes = np.sort(np.abs(random.standard_t(nu, _FINENESS * PATHS // 2)))
    half = sizes.reshape(PATHS // 2, _FINENESS).mean(axis=1) * np.sqrt((nu - 2) / nu)
    values = np.concatenate([half, -half])
    return np.stack([random.permutation(values) for _ in range(horizon)])


def _quantiles(paths: FloatArray) -> FloatArray:
    """`(n, 7)` quantiles of `(n, PATHS)`, interpolated as `np.quantile` does, which takes ten times as long."""
    ordered = np.sort(paths, axis=1)
    place = np.asarray(QUANTILES) * (paths.shape[1] - 1)
    low = np.floor(place).astype(np.int64)
    quantiles: FloatArray = ordered[:, low] + (place - low) * (ordered[:, low + 1] - ordered[:, low])
    return quantiles


def _estimate(returns: FloatArray) -> GarchParameters | str:
    """Parameters of one symbol's returns in percent, or why there are none."""
    if len(returns) < LEAST_RETURNS:
        return f"it has {len(returns)} returns where {LEAST_RETURNS} are needed"
    if float(returns.std()) < 1e-6:
        return "its price never changed"
    result = _arch_model(returns).fit(disp="off", show_warning=False)
    values = {name: float(value) for name, value in result.params.items()}
    found = GarchParameters(
        mu=values["mu"],
        omega=values["omega"],
        alpha=values["alpha[1]"],
        gamma=values["gamma[1]"],
        beta=values["beta[1]"],
        nu=values["nu"],
        start=float(returns.var()),
    )
    if result.convergence_flag != 0 or not np.isfinite(list(values.values())).all() or found.nu <= 2:
        return f"the estimation of {len(returns)} returns did not converge"
    return found


def _arch_model(returns: FloatArray) -> Any:
    """The model of the arch package; it is an extra, needed for this baseline alone."""
    try:
        from arch import arch_model
    except ImportError as error:
        raise ModelsError(
            "the baseline garch needs the arch package, which is not installed; install tplus[backtest], or leave "
            "garch out of --baselines"
        ) from error
    return arch_model(returns, mean="Constant", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False)
