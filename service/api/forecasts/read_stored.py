"""Reads the stored rows of many symbols' forecasts: each kind of row at once, for all symbols."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from service.api.common import queries as common
from service.api.common.dependencies import Snapshot
from service.api.common.next_edition import NO_EDITION, NextEdition, NextEditions
from service.api.common.queries import Timing
from service.api.common.rows import ActionRow, EditionRow, ForecastRow, InstrumentRow, RowType, TrackRecordRow
from service.api.common.schemas import Strategy
from service.api.forecasts import queries as forecasts
from service.api.forecasts.forecast_prices import ForecastPrices
from service.api.forecasts.forecast_rows import ForecastRows
from service.api.forecasts.queries import ForecastQuery, ServedRow, VersionRow
from service.api.symbols.queries import read_instruments
from service.settings import Settings


@dataclass(slots=True)
class SharedRows:
    """What forecasts have in common while the database's cache key stays the same.

    Attributes:
        versions: Id -> model version.
        timings: Calendar and session -> the instants around it.
        joints: Calendar and session -> version -> the state of its joint band; None if there is none.
    """

    versions: dict[int, VersionRow] = field(default_factory=dict)
    timings: dict[tuple[str, date], Timing] = field(default_factory=dict)
    joints: dict[tuple[str, date], dict[int, Mapping[str, Any] | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """What a caller of `read_stored` has read in the same snapshot.

    Attributes:
        instruments: The symbols' instruments; None = read them.
        coming: Calendar -> its next edition; None = read it.
        shared: What an earlier call at the same cache key has read; receives what this one reads.
    """

    instruments: Mapping[str, InstrumentRow] | None = None
    coming: Mapping[str, NextEdition] | None = None
    shared: SharedRows = field(default_factory=SharedRows)


def read_stored(
    snapshot: Snapshot,
    settings: Settings,
    symbols: Sequence[str],
    selection: ForecastQuery,
    known: Known | None = None,
) -> dict[str, ForecastRows]:
    """Return the rows of the forecasts of symbols in their stored spelling; those without one are left out.

    Args:
        snapshot: The snapshot.
        settings: Settle delays, and the speed of a replay.
        symbols: The symbols.
        selection: Which forecast of each.
        known: What is read already; None = nothing.
    """
    known = known or Known()
    instruments, coming = known.instruments, known.coming
    if instruments is None:
        instruments = read_instruments(snapshot.connection, symbols)
    editions = forecasts.read_editions(snapshot.connection, list(instruments), selection)
    if not editions:
        return {}
    coming = NextEditions(snapshot.connection, settings, snapshot.now).by_calendar() if coming is None else coming
    rows = _Rows(snapshot, settings, editions, coming, known.shared)
    return {symbol: rows.of(instruments[symbol], edition, selection) for symbol, edition in editions.items()}


class _Rows:
    """The rows of some editions by symbol, and what symbols of one calendar share."""

    def __init__(
        self,
        snapshot: Snapshot,
        settings: Settings,
        editions: Mapping[str, EditionRow],
        coming: Mapping[str, NextEdition],
        shared: SharedRows,
    ) -> None:
        connection, symbols = snapshot.connection, list(editions)
        self._connection, self._settings, self._coming, self._shared = connection, settings, coming, shared
        self._forecasts: Mapping[str, list[ForecastRow]] = _by_symbol(forecasts.read_forecasts(connection, editions))
        self._served: defaultdict[str, dict[Strategy, ServedRow]] = defaultdict(dict)
        for item in forecasts.read_served(connection, editions):
            self._served[item.symbol][item.strategy] = item
        self._ids = {row.model_version_id for group in self._forecasts.values() for row in group}
        left = self._ids - shared.versions.keys()
        if left:
            shared.versions.update(forecasts.read_versions(connection, left))
        oldest = min(row.as_of for row in editions.values())
        self._actions: Mapping[str, list[ActionRow]] = _by_symbol(
            forecasts.read_later_actions(connection, symbols, oldest)
        )
        self._records: Mapping[str, list[TrackRecordRow]] = _by_symbol(
            forecasts.read_track_records(connection, symbols), "scope"
        )

    def of(self, instrument: InstrumentRow, edition: EditionRow, selection: ForecastQuery) -> ForecastRows:
        """Return the rows of one symbol's edition."""
        symbol, calendar, known_at = instrument.symbol, instrument.calendar, selection.known_at
        rows = self._forecasts[symbol]
        actions = [action for action in self._actions[symbol] if action.ex_date > edition.as_of]
        records, later = [], [action.fetched_at for action in actions]
        for record in self._records[symbol]:
            final_at = self._timing(calendar, record.as_of).final_at
            # Only the newest track record is stored: whether it was known then is all that can be said.
            if final_at is None or final_at <= known_at:
                records.append(record)
            else:
                later.append(final_at)
        return ForecastRows(
            instrument=instrument,
            edition=edition,
            forecasts=rows,
            served=self._served[symbol],
            versions=self._shared.versions,
            prices=ForecastPrices(rows[0].basis, instrument.basis, actions, known_at),
            records=records,
            joint_states=self._joint_states(calendar, edition.as_of),
            timing=self._timing(calendar, edition.as_of),
            next_edition=self._coming.get(calendar, NO_EDITION),
            known_at=known_at,
            changes_at=_first_after(later, known_at),
        )

    def _timing(self, calendar: str, session: date) -> Timing:
        timings = self._shared.timings
        timing = timings.get((calendar, session))
        if timing is None:
            timing = common.read_timing(self._connection, self._settings, calendar, session)
            timings[calendar, session] = timing
        return timing

    def _joint_states(self, calendar: str, session: date) -> Mapping[int, Mapping[str, Any] | None]:
        states = self._shared.joints.setdefault((calendar, session), {})
        left = self._ids - states.keys()
        if left:
            found = forecasts.read_joint_states(self._connection, left, calendar, session)
            states.update({version: found.get(version) for version in left})
        return states


def _first_after(instants: Iterable[datetime], known_at: datetime) -> datetime | None:
    return min((at for at in instants if at > known_at), default=None)


def _by_symbol(rows: Sequence[RowType], name: str = "symbol") -> defaultdict[str, list[RowType]]:
    groups: defaultdict[str, list[RowType]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, name)].append(row)
    return groups
