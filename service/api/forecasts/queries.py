"""Reads the edition for each symbol, and the rows of its answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, Connection, FromClause, Select, and_, bindparam, case, func, select

from service.api.common.rows import (
    ActionRow,
    EditionRow,
    ForecastRow,
    OutcomeRow,
    TrackRecordRow,
    any_of,
    columns_of,
    read_rows,
)
from service.api.common.schemas import Strategy
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
    sessions,
    track_records,
)
from service.vocabulary import Job, Mode, SessionState

# Made once: making an alias costs more than the query.
_rows, _issue = forecasts.alias("rows"), editions.alias("issue")
_newer, _newer_issue = forecasts.alias("newer"), editions.alias("newer_issue")
_issued = _rows.join(_issue, _issue.c.number == _rows.c.edition)
_newer_issued = _newer.join(_newer_issue, _newer_issue.c.number == _newer.c.edition)

_JOINT = 0
"""Step under which the joint band's state is stored."""


class ServedRow(NamedTuple):
    """A row of `served_forecasts`."""

    symbol: str
    edition: int
    strategy: Strategy
    model_version_id: int
    reason: str


class VersionRow(NamedTuple):
    """A row of `model_versions`."""

    id: int
    forecaster: str
    status: str
    trained_at: datetime
    metrics: dict[str, Any]


class NewestOutcome(NamedTuple):
    """A symbol's outcome in a run, and the session that the run belongs to."""

    symbol: str
    state: str
    reason: str | None
    session: date | None


@dataclass(frozen=True, slots=True)
class ForecastQuery:
    """Selects the forecast of each symbol.

    Attributes:
        known_at: Aware UTC market time; editions issued later are ignored (inclusive bound).
        as_of: The requested session, None for the newest.
    """

    known_at: datetime
    as_of: date | None = None


def read_editions(connection: Connection, symbols: Sequence[str], selection: ForecastQuery) -> dict[str, EditionRow]:
    """Return the edition for each symbol; symbols without one are left out.

    Of a session's editions the last on-time one counts, or a backfill without any. The newest session is the newest
    with an on-time edition: a backfill is used only if its session is requested.
    """
    values: dict[str, Any] = {"symbols": symbols, "known_at": selection.known_at}
    if selection.as_of is not None:
        values["as_of"] = selection.as_of
    query = _NEWEST if selection.as_of is None else _OF_SESSION
    return {symbol: EditionRow._make(row) for symbol, *row in connection.execute(query, values)}


def _editions_of(as_of: ColumnElement[date]) -> Select[Any]:
    """Return the statement of the edition for each symbol of one session."""
    number = (
        select(_issue.c.number)
        .select_from(_issued)
        .where(_rows.c.symbol == instruments.c.symbol, _rows.c.as_of == as_of, _issue.c.issued_at <= _KNOWN_AT)
        .order_by(case((_issue.c.mode == Mode.BACKFILL, 1), else_=0), _issue.c.number.desc())
        .limit(1)
        .correlate(instruments)
        .scalar_subquery()
        .label("number")
    )
    chosen = select(instruments.c.symbol, number).where(instruments.c.symbol.in_(any_of("symbols"))).subquery()
    query = select(chosen.c.symbol, *columns_of(editions, EditionRow))
    return query.join(editions, editions.c.number == chosen.c.number)


# Statements are built once: building one takes longer than sending it.
_KNOWN_AT = bindparam("known_at", type_=editions.c.issued_at.type)
_NEWEST = _editions_of(
    select(_newer.c.as_of)
    .select_from(_newer_issued)
    .where(
        _newer.c.symbol == instruments.c.symbol,
        _newer_issue.c.issued_at <= _KNOWN_AT,
        _newer_issue.c.mode != Mode.BACKFILL,
    )
    .order_by(_newer.c.as_of.desc())
    .limit(1)
    .correlate(instruments)
    .scalar_subquery()
)
_OF_SESSION = _editions_of(bindparam("as_of", type_=forecasts.c.as_of.type))
_FORECASTS = (
    select(*columns_of(forecasts, ForecastRow))
    .where(
        forecasts.c.symbol.in_(any_of("symbols")),
        forecasts.c.as_of.in_(any_of("sessions")),
        forecasts.c.edition.in_(any_of("editions")),
    )
    .order_by(forecasts.c.symbol, forecasts.c.strategy, forecasts.c.model_version_id, forecasts.c.step)
)
_SERVED = select(*columns_of(served_forecasts, ServedRow)).where(
    served_forecasts.c.symbol.in_(any_of("symbols")), served_forecasts.c.edition.in_(any_of("editions"))
)
_VERSIONS = select(*columns_of(model_versions, VersionRow)).where(model_versions.c.id.in_(any_of("ids")))
_LATER_ACTIONS = select(*columns_of(corporate_actions, ActionRow)).where(
    corporate_actions.c.symbol.in_(any_of("symbols")),
    corporate_actions.c.ex_date > bindparam("after"),
    corporate_actions.c.kind.in_(("dividend", "split")),
)
_TRACK_RECORDS = select(*columns_of(track_records, TrackRecordRow)).where(
    track_records.c.scope_kind == "symbol", track_records.c.scope.in_(any_of("symbols"))
)
_SESSION_COUNT = select(func.count()).where(
    sessions.c.calendar == bindparam("calendar"),
    sessions.c.session > bindparam("after"),
    sessions.c.session <= bindparam("until"),
    sessions.c.state != SessionState.CLOSED,
)


def read_forecasts(connection: Connection, edition_of: Mapping[str, EditionRow]) -> list[ForecastRow]:
    """Return the forecasts of editions, by symbol, strategy, version and step."""
    values = {
        "symbols": list(edition_of),
        "sessions": list({row.as_of for row in edition_of.values()}),
        "editions": list({row.number for row in edition_of.values()}),
    }
    rows = read_rows(connection, ForecastRow, _FORECASTS, values)
    return [row for row in rows if edition_of[row.symbol].number == row.edition]


def read_served(connection: Connection, edition_of: Mapping[str, EditionRow]) -> list[ServedRow]:
    """Return the versions that editions served, at most one per symbol and strategy."""
    values = {"symbols": list(edition_of), "editions": list({row.number for row in edition_of.values()})}
    rows = read_rows(connection, ServedRow, _SERVED, values)
    return [row for row in rows if edition_of[row.symbol].number == row.edition]


def read_versions(connection: Connection, ids: Iterable[int]) -> dict[int, VersionRow]:
    """Return model versions by id."""
    return {row.id: row for row in read_rows(connection, VersionRow, _VERSIONS, {"ids": list(set(ids))})}


def read_later_actions(connection: Connection, symbols: Sequence[str], after: date) -> list[ActionRow]:
    """Return dividends and splits with ex-dates after a session (exclusive), as known now."""
    return read_rows(connection, ActionRow, _LATER_ACTIONS, {"symbols": symbols, "after": after})


def read_track_records(connection: Connection, symbols: Sequence[str]) -> list[TrackRecordRow]:
    """Return the track records of symbols, of every strategy, step, forecaster and mode."""
    return read_rows(connection, TrackRecordRow, _TRACK_RECORDS, {"symbols": symbols})


def read_newest_outcomes(connection: Connection, symbols: Sequence[str], job: Job) -> dict[str, NewestOutcome]:
    """Return each symbol's outcome in the newest run of a job with it."""
    rows = read_rows(connection, NewestOutcome, _NEWEST_OUTCOMES, {"symbols": symbols, "job": job})
    return {row.symbol: row for row in rows}


def _newest_outcomes() -> Select[Any]:
    newer, processed = runs.alias("newer"), run_outcomes.alias("processed")
    newest = (
        select(newer.c.id)
        .select_from(newer.join(processed, processed.c.run_id == newer.c.id))
        .where(
            processed.c.symbol == instruments.c.symbol,
            newer.c.job == bindparam("job"),
            newer.c.scope == instruments.c.calendar,
        )
        # The order of the unique index: the search ends at the first run, without sorting them all.
        .order_by(newer.c.scheduled_for.desc(), newer.c.sequence.desc())
        .limit(1)
        .correlate(instruments)
        .scalar_subquery()
    )
    return (
        select(*columns_of(run_outcomes, OutcomeRow), runs.c.session)
        .join(instruments, instruments.c.symbol == run_outcomes.c.symbol)
        .join(runs, runs.c.id == run_outcomes.c.run_id)
        .where(run_outcomes.c.symbol.in_(any_of("symbols")), run_outcomes.c.run_id == newest)
    )


_NEWEST_OUTCOMES = _newest_outcomes()


def read_session_count(connection: Connection, calendar: str, after: date, until: date) -> int:
    """Return the sessions of a calendar after one (exclusive) up to another (inclusive)."""
    values = {"calendar": calendar, "after": after, "until": until}
    return int(connection.execute(_SESSION_COUNT, values).scalar_one())


def read_joint_states(
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
    values = {"versions": sorted(set(versions)), "calendar": calendar, "as_of": as_of}
    return {version_id: document for version_id, document in connection.execute(_JOINT_STATES, values)}


def _joint_states() -> Select[Any]:
    own, related, other = (model_versions.alias(name) for name in ("own", "related", "other"))
    earlier, state = calibration_states.alias("earlier"), calibration_states.alias("state")
    calendar: BindParameter[str] = bindparam("calendar")

    def same_config(versions: FromClause) -> ColumnElement[bool]:
        names = ("group", "strategy", "config_hash")
        return and_(*(versions.c[name] == own.c[name] for name in names))

    newest = (
        select(func.max(earlier.c.as_of))
        .select_from(related.join(earlier, earlier.c.model_version_id == related.c.id))
        .where(
            same_config(related),
            earlier.c.calendar == calendar,
            earlier.c.step == _JOINT,
            earlier.c.as_of <= bindparam("as_of"),
        )
        .correlate(own)
        .scalar_subquery()
    )
    return (
        select(own.c.id, state.c.state)
        .select_from(own.join(other, same_config(other)).join(state, state.c.model_version_id == other.c.id))
        .where(own.c.id.in_(any_of("versions")), state.c.calendar == calendar, state.c.step == _JOINT)
        .where(state.c.as_of == newest)
        .order_by(state.c.model_version_id)
    )


_JOINT_STATES = _joint_states()
