"""Reads the edition for each symbol, and the rows of its answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, ScalarSelect, and_, case, func, select

from service.db.tables import (
    calibration_states,
    corporate_actions,
    editions,
    forecasts,
    instruments,
    model_versions,
    run_outcomes,
    runs,
    served_forecasts,
)
from service.db.tables import track_records as accuracy_table

# Made once: making an alias costs more than the query.
_rows, _issue = forecasts.alias("rows"), editions.alias("issue")
_newer, _newer_issue = forecasts.alias("newer"), editions.alias("newer_issue")
_issued = _rows.join(_issue, _issue.c.number == _rows.c.edition)
_newer_issued = _newer.join(_newer_issue, _newer_issue.c.number == _newer.c.edition)

_JOINT = 0
"""Step under which the joint band's state is stored."""


@dataclass(frozen=True, slots=True)
class ForecastQuery:
    """Selects the forecast of each symbol.

    Attributes:
        known_at: Aware UTC market time; editions issued later are ignored (inclusive bound).
        as_of: The requested session, None for the newest.
    """

    known_at: datetime
    as_of: date | None = None


def editions_for(connection: Connection, symbols: Sequence[str], wanted: ForecastQuery) -> dict[str, Row[Any]]:
    """Return the edition for each symbol; symbols without one are left out.

    Of a session's editions the last on-time one counts, or a backfill without any. The newest session is the newest
    with an on-time edition: a backfill is used only if its session is requested.
    """
    picked = _edition_of_symbol(wanted).label("number")
    chosen = select(instruments.c.symbol, picked).where(instruments.c.symbol.in_(symbols)).subquery()
    query = select(chosen.c.symbol.label("for_symbol"), editions).join(editions, editions.c.number == chosen.c.number)
    rows: list[Row[Any]] = list(connection.execute(query))
    return {row.for_symbol: row for row in rows}


def _edition_of_symbol(wanted: ForecastQuery) -> ScalarSelect[int]:
    if wanted.as_of is None:
        as_of: Any = (
            select(_newer.c.as_of)
            .select_from(_newer_issued)
            .where(
                _newer.c.symbol == instruments.c.symbol,
                _newer_issue.c.issued_at <= wanted.known_at,
                _newer_issue.c.mode != "backfill",
            )
            .order_by(_newer.c.as_of.desc())
            .limit(1)
            .correlate(instruments)
            .scalar_subquery()
        )
    else:
        as_of = wanted.as_of
    return (
        select(_issue.c.number)
        .select_from(_issued)
        .where(_rows.c.symbol == instruments.c.symbol, _rows.c.as_of == as_of, _issue.c.issued_at <= wanted.known_at)
        .order_by(case((_issue.c.mode == "backfill", 1), else_=0), _issue.c.number.desc())
        .limit(1)
        .correlate(instruments)
        .scalar_subquery()
    )


def stored(connection: Connection, chosen: Mapping[str, Row[Any]]) -> list[Row[Any]]:
    """Return the forecasts of editions, by symbol, strategy, version and step."""
    table = forecasts.c
    query = (
        select(forecasts)
        .where(
            table.symbol.in_(list(chosen)),
            table.as_of.in_({row.as_of for row in chosen.values()}),
            table.edition.in_({row.number for row in chosen.values()}),
        )
        .order_by(table.symbol, table.strategy, table.model_version_id, table.step)
    )
    return [row for row in connection.execute(query) if chosen[row.symbol].number == row.edition]


def served(connection: Connection, chosen: Mapping[str, Row[Any]]) -> dict[tuple[str, str], Row[Any]]:
    """Return what editions served, by (symbol, strategy)."""
    query = select(served_forecasts).where(
        served_forecasts.c.symbol.in_(list(chosen)),
        served_forecasts.c.edition.in_({row.number for row in chosen.values()}),
    )
    rows: list[Row[Any]] = list(connection.execute(query))
    return {(row.symbol, row.strategy): row for row in rows if chosen[row.symbol].number == row.edition}


def versions(connection: Connection, ids: Iterable[int]) -> dict[int, Row[Any]]:
    """Return model versions by id."""
    table = model_versions.c
    query = select(table.id, table.forecaster, table.status, table.metrics).where(table.id.in_(set(ids)))
    rows: list[Row[Any]] = list(connection.execute(query))
    return {row.id: row for row in rows}


def later_actions(connection: Connection, symbols: Sequence[str], after: date) -> list[Row[Any]]:
    """Return dividends and splits with ex-dates after a session (exclusive), as known now."""
    query = select(corporate_actions).where(
        corporate_actions.c.symbol.in_(symbols),
        corporate_actions.c.ex_date > after,
        corporate_actions.c.kind.in_(("dividend", "split")),
    )
    return list(connection.execute(query))


def records(connection: Connection, symbols: Sequence[str]) -> list[Row[Any]]:
    """Return the track records of symbols, of every strategy, step, forecaster and mode."""
    table = accuracy_table.c
    return list(
        connection.execute(select(accuracy_table).where(table.scope_kind == "symbol", table.scope.in_(symbols)))
    )


def newest_outcomes(connection: Connection, symbols: Sequence[str]) -> dict[str, Row[Any]]:
    """Return each symbol's outcome in the newest forecast run with it."""
    newer, dealt = runs.alias("newer"), run_outcomes.alias("dealt")
    newest = (
        select(newer.c.id)
        .select_from(newer.join(dealt, dealt.c.run_id == newer.c.id))
        .where(
            dealt.c.symbol == instruments.c.symbol, newer.c.job == "forecast", newer.c.scope == instruments.c.calendar
        )
        .order_by(newer.c.id.desc())
        .limit(1)
        .correlate(instruments)
        .scalar_subquery()
    )
    query = (
        select(run_outcomes.c.symbol, run_outcomes.c.state, run_outcomes.c.reason)
        .join(instruments, instruments.c.symbol == run_outcomes.c.symbol)
        .where(run_outcomes.c.symbol.in_(symbols), run_outcomes.c.run_id == newest)
    )
    rows: list[Row[Any]] = list(connection.execute(query))
    return {row.symbol: row for row in rows}


def joint_states(
    connection: Connection, versions: Iterable[int], calendar: str, as_of: date
) -> dict[int, Mapping[str, Any]]:
    """Return the state of each version's joint band as of a session.

    Args:
        connection: Open for reading.
        versions: Ids of model versions.
        calendar: Their forecasts' calendar.
        as_of: States as of later sessions do not count.

    Returns:
        Version -> the newest state of any version of its group, strategy and config; missing if there is none.
    """
    own, kin, other = (model_versions.alias(name) for name in ("own", "kin", "other"))
    earlier, state = calibration_states.alias("earlier"), calibration_states.alias("state")

    def same_lineage(one: Any) -> Any:
        return and_(
            one.c.group == own.c.group, one.c.strategy == own.c.strategy, one.c.config_hash == own.c.config_hash
        )

    newest = (
        select(func.max(earlier.c.as_of))
        .select_from(kin.join(earlier, earlier.c.model_version_id == kin.c.id))
        .where(same_lineage(kin), earlier.c.calendar == calendar, earlier.c.step == _JOINT, earlier.c.as_of <= as_of)
        .correlate(own)
        .scalar_subquery()
    )
    query = (
        select(own.c.id, state.c.state)
        .select_from(own.join(other, same_lineage(other)).join(state, state.c.model_version_id == other.c.id))
        .where(own.c.id.in_(sorted(set(versions))), state.c.calendar == calendar, state.c.step == _JOINT)
        .where(state.c.as_of == newest)
        .order_by(state.c.model_version_id)
    )
    return {version: found for version, found in connection.execute(query)}
