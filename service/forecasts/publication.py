"""The forecasts of an edition before they are stored."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class NewForecast:
    """One step of one forecaster for one symbol.

    Attributes:
        symbol: Yahoo-style name.
        as_of: T-1, the newest session used.
        step: 1, 2, 3 = T, T+1, T+2.
        target_session: The session that is forecast.
        strategy: `one_step` or `multi_step`.
        model_version_id: The version that forecast.
        revision: 1, and one more for each corrected as_of bar.
        basis: Basis of `last_close`.
        last_close: as_of's close as stored.
        sigma: Daily volatility known at as_of, log return.
        raw: Seven quantiles of the cumulative log return, ascending.
        calibrated: The same after calibration.
        degraded: Inputs the forecaster was trained with that are missing now.
    """

    symbol: str
    as_of: date
    step: int
    target_session: date
    strategy: str
    model_version_id: int
    revision: int
    basis: int
    last_close: float
    sigma: float
    raw: tuple[float, ...]
    calibrated: tuple[float, ...]
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServedForecast:
    """The version that is served for one symbol and strategy, and why."""

    symbol: str
    strategy: str
    model_version_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Publication:
    """One publication: the forecasts of some symbols of a calendar for one as_of."""

    mode: str
    calendar: str
    as_of: date
    run_id: int | None
    forecasts: tuple[NewForecast, ...]
    items: tuple[ServedForecast, ...]
