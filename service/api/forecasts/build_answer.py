"""Builds a forecast answer from stored rows: prices from returns, and each forecaster's track record."""

from operator import itemgetter

from service.api.common.rows import ForecastRow
from service.api.common.schemas import Strategy
from service.api.forecasts.disagreement import disagreement_fields
from service.api.forecasts.forecast_rows import ForecastRows
from service.api.forecasts.joint_band import joint_band_fields
from service.api.forecasts.queries import VersionRow
from service.api.forecasts.schemas import LABELS, MIN_SESSIONS, ForecastAnswer, Quantiles
from service.api.forecasts.track_record import Fields, coverage_fields, held_out_fields, skill_fields
from service.market.time_zones import time_zone
from service.vocabulary import RANDOM_WALK, SERVED

INTERVALS: tuple[tuple[int, str, str], ...] = ((50, "q25", "q75"), (80, "q10", "q90"), (95, "q025", "q975"))
"""Nominal level, and its bounding quantiles."""


_NAMES = tuple(Quantiles.model_fields)
_QUANTILES = itemgetter(*(ForecastRow._fields.index(name) for name in _NAMES))
_RAW_QUANTILES = itemgetter(*(ForecastRow._fields.index(f"raw_{name}") for name in _NAMES))


def build_answer(stored: ForecastRows) -> ForecastAnswer:
    """Return the answer for one symbol."""
    return ForecastAnswer.model_validate(answer_fields(stored))


def answer_fields(stored: ForecastRows) -> Fields:
    """Return the fields of the answer for one symbol, those of `ForecastAnswer` in its order."""
    instrument, edition, timing = stored.instrument, stored.edition, stored.timing
    others = _others(stored)
    walk = next((other for other in others if _is_walk(other["strategy"], other["forecaster"])), None)
    multi_step, one_step = _strategy(stored, "multi_step"), _strategy(stored, "one_step")
    return {
        "symbol": instrument.symbol,
        "currency": instrument.currency,
        "calendar": instrument.calendar,
        "time_zone": time_zone(instrument.calendar),
        "approximate": timing.approximate or instrument.calendar_approximate,
        "group": instrument.group,
        "as_of": edition.as_of,
        "data_as_of": timing.final_at,
        "issued_at": edition.issued_at,
        "stale_after": timing.stale_after,
        "next_edition_at": stored.next_edition.at,
        "next_edition_in_seconds": stored.next_edition.in_seconds,
        "known_at": stored.known_at,
        "mode": edition.mode,
        "edition": {"number": edition.number, "hash": edition.hash},
        "last_close": stored.forecasts[0].last_close,
        "basis": _basis(stored),
        "multi_step": multi_step,
        "one_step": one_step,
        "disagreement": disagreement_fields(one_step, multi_step),
        "random_walk": walk,
        "others": [other for other in others if other is not walk],
    }


def _strategy(stored: ForecastRows, strategy: Strategy) -> Fields | None:
    item = stored.served.get(strategy)
    rows = [] if item is None else stored.by_version.get((strategy, item.model_version_id), [])
    if item is None or not rows:
        return None
    version = stored.versions[item.model_version_id]
    records = stored.track_records(strategy, SERVED)
    skill = skill_fields(records, stored.edition.mode, len(rows))
    return {
        "served_by": {**_version(version), "reason": item.reason},
        "steps": [_step(stored, row, SERVED) for row in rows],
        "skill": skill,
        "coverage": coverage_fields(records, len(rows)),
        "joint": _joint(stored, version, rows),
        "held_out": held_out_fields(version.metrics) if skill["n"] < MIN_SESSIONS else None,
    }


def _others(stored: ForecastRows) -> list[Fields]:
    """Return the forecasts that were not served, and always the random walk, each with its own track record."""
    others: list[Fields] = []
    for (strategy, version_id), rows in stored.by_version.items():
        version = stored.versions[version_id]
        if stored.is_served(strategy, version_id) and not _is_walk(strategy, version.forecaster):
            continue
        records = stored.track_records(strategy, version.forecaster)
        others.append(
            {
                **_version(version),
                "strategy": strategy,
                "steps": [_step(stored, row, version.forecaster) for row in rows],
                "skill": skill_fields(records, stored.edition.mode, len(rows)),
                "coverage": coverage_fields(records, len(rows)),
                "joint": _joint(stored, version, rows),
            }
        )
    return others


def _version(version: VersionRow) -> Fields:
    return {
        "model_version_id": version.id,
        "forecaster": version.forecaster,
        "status": version.status,
        "trained_at": version.trained_at,
    }


def _joint(stored: ForecastRows, version: VersionRow, rows: list[ForecastRow]) -> Fields | None:
    return joint_band_fields(rows, stored.joint_states.get(version.id), version.metrics, stored.pricer)


def _is_walk(strategy: str, forecaster: str) -> bool:
    return (strategy, forecaster) == ("multi_step", RANDOM_WALK)


def _step(stored: ForecastRows, row: ForecastRow, forecaster: str) -> Fields:
    records = stored.track_records(row.strategy, forecaster, row.step)
    quantiles, price = dict(zip(_NAMES, _QUANTILES(row), strict=True)), stored.pricer(row)
    intervals = []
    for level, low, high in INTERVALS:
        lower, upper = quantiles[low], quantiles[high]
        prices = {"lower": price(lower), "upper": price(upper)}
        intervals.append({"level": level, **prices, "lower_return": lower, "upper_return": upper})
    return {
        "step": row.step,
        "label": LABELS[row.step - 1],
        "target_session": row.target_session,
        "point": price(row.q50),
        "median": row.q50,
        "quantiles": quantiles,
        "raw": dict(zip(_NAMES, _RAW_QUANTILES(row), strict=True)),
        "intervals": intervals,
        "dividends": stored.prices.dividends(row.target_session),
        "degraded": row.degraded or [],
        "skill": skill_fields(records, stored.edition.mode, 1),
        "coverage": coverage_fields(records, 1),
    }


def _basis(stored: ForecastRows) -> Fields:
    own, current = stored.prices.basis, stored.prices.current_basis
    ratio = stored.prices.split_ratio
    note = None
    if own != current:
        note = (
            f"{stored.instrument.symbol} was re-based since this forecast (basis {own} then, {current} now): its "
            f"prices are on basis {own}; divide them by {ratio:g} to compare with today's"
        )
    return {"forecast": own, "current": current, "split_ratio": ratio, "note": note}
