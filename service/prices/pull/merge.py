"""Merges the answer for one symbol: checks it, compares it with the stored bars, writes it in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np
from sqlalchemy import Connection

from models.phases import Phase
from service.db.change_counters import raise_changes
from service.market.instruments import Instrument, list_instruments, set_state, store_metadata
from service.market.session_calendar import MarketCalendar
from service.market.sessions import ensure_sessions, refresh_sessions, reopen
from service.prices.checks.action_checks import AnsweredSpan, lacks_most
from service.prices.checks.outliers import find_suspects, series_kind
from service.prices.checks.reconcile import Comparison, Verdict, compare, new_splits, undone_splits
from service.prices.checks.row_checks import Checked, Finding, Rows, check_actions, check_rows
from service.prices.pull.fetch_ranges import CalendarFactory, calendar_around
from service.prices.pull.merge_actions import AnsweredActions, decide_actions, hold_actions
from service.prices.quarantine.row_quarantine import record_findings, settle_suspects
from service.prices.quarantine.symbol_holds import SESSIONS_SEEN, SymbolHold, raise_hold, settle_holds, use_allowance
from service.prices.repository import has_bar, read_actions
from service.prices.sources.base import Action, ActionKind, FetchedPrices
from service.prices.store import NOTHING, Stored, Writer, load_stored
from service.settings import Settings
from service.vocabulary import QuarantineState, SymbolState

AHEAD = 15
"""Number of later sessions whose opens and closes are written: readers need T to T+2 and a margin."""

_COVERED = 0.95
"""Share of the stored sessions that a re-pulled history must contain to replace them."""


@dataclass(frozen=True, slots=True)
class PullOutcome:
    """Outcome of one symbol in a pull.

    Attributes:
        symbol: Yahoo-style name.
        state: `ok`, `no_bar` (the session's own bar is missing), `unknown`, `no_data`, `transient`,
            `deferred` (rate limited, or not tried after that), `malformed`, `suspect` or `failed`.
        reason: One sentence; None if nothing is wrong.
        counts: Counts by name; zero counts are left out.
        notice: One sentence to report once; None if there is none.
    """

    symbol: str
    state: str
    reason: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the source after the checks.

    Attributes:
        calendar: Calendar of the symbol, its bounds around the answer and the sessions ahead.
        checked: Rows after the row checks.
        actions: Valid actions.
        findings: Refused and repaired rows and actions.
        states_actions: Whether the source has actions at all.
    """

    calendar: MarketCalendar
    checked: Checked
    actions: tuple[Action, ...]
    findings: tuple[Finding, ...]
    states_actions: bool

    def against(self, stored: Rows) -> AnsweredActions:
        """Return its actions, to be compared with those stored for the bars of its span."""
        refused = frozenset(
            (finding.session.astype("datetime64[D]").astype(object), ActionKind(str(finding.row["kind"])))
            for finding in self.findings
            if "kind" in finding.row
        )
        return AnsweredActions(self.actions, refused, self.states_actions, AnsweredSpan(self.checked.rows, stored))


@dataclass(frozen=True, slots=True)
class _Reconciliation:
    """A checked answer compared with the stored bars.

    Attributes:
        answer: The answer.
        stored: The stored bars of its span.
        actions: Every stored action.
        comparison: Result of the comparison.
        answered: The actions of the answer.
        undone: Stored splits that the answer lacks and its closes undo.
    """

    answer: Answer
    stored: Stored
    actions: tuple[Action, ...]
    comparison: Comparison
    answered: AnsweredActions
    undone: tuple[Action, ...]

    @property
    def gap(self) -> str:
        """What the answer lacks, as the end of a sentence; empty if it can replace what is stored."""
        if self._lacks > (1 - _COVERED) * len(self.stored.rows):
            return f"lacks {self._lacks} of the {len(self.stored.rows)} stored bars"
        missing = self.answered.missing(self.actions)
        if lacks_most(self.actions, missing, self.answered.span):
            return f"lacks {len(missing)} of the {len(self.actions)} stored corporate actions"
        return ""

    @property
    def _lacks(self) -> int:
        return len(self.stored.rows) - len(self.comparison.stored)


@dataclass(frozen=True, slots=True)
class HistoryMerger:
    """Merges the answers of one pull; every method needs an open write transaction.

    Attributes:
        settings: Settle delays and groups.
        calendars: Returns a calendar by name and bounds.
        volatility: Names of volatility references; their jumps are not suspect.
        source: Name of the source, stored with each bar.
        session: The session the pull is for.
        at: Aware UTC market time.
        ensured: Sessions that are in the database, by calendar: the first and the last one. Empty it when a transaction
            is rolled back.
    """

    settings: Settings
    calendars: CalendarFactory
    volatility: frozenset[str]
    source: str
    session: date
    at: datetime
    ensured: dict[str, tuple[date, date]] = field(default_factory=dict)

    def first(self, connection: Connection, instrument: Instrument, history: FetchedPrices) -> PullOutcome:
        """Store the first history of a symbol, and its metadata."""
        if len(history.bars) == 0:
            return PullOutcome(instrument.symbol, "no_data", "the source answered no bars")
        configured = self.settings.calendar_of.get(instrument.symbol, instrument.chosen_calendar)
        meta = history.meta
        if configured is not None:
            meta = replace(meta, calendar=self.calendars(configured, self.session, self.session).name)
        described = store_metadata(connection, instrument.symbol, meta, self.at, self.settings.group_of)
        answer = self._check(described.calendar, history)
        writer = self._writer(connection, instrument.symbol)
        answered = answer.against(NOTHING.rows)
        changes = decide_actions(connection, instrument.symbol, (), answered, answer.checked.rows)
        accepted, counts = self._accept(writer, described, answer, NOTHING, changes.applied)
        counts["added"] = writer.put(accepted, np.ones(len(accepted), np.int64))
        counts["actions"] = writer.put_actions((), changes.applied, described.basis)
        counts["suspect_actions"] = hold_actions(connection, instrument.symbol, changes, answered, self.at)
        writer.move_span(None, None, accepted.sessions)
        self._ensure(connection, answer, accepted)
        raise_changes(connection, [instrument.symbol])
        moved = answer.calendar.name != instrument.calendar
        return self._outcome(connection, described, self._own_session(answer.calendar, moved), counts)

    def later(
        self, connection: Connection, instrument: Instrument, history: FetchedPrices, start: date
    ) -> PullOutcome | None:
        """Merge an answer from `start` (inclusive) on into the stored bars.

        Returns:
            The outcome; None = a split re-based the history: nothing is written, the whole history must be fetched.
        """
        if len(history.bars) == 0:
            return PullOutcome(instrument.symbol, "no_data", f"the source answered no bars from {start} on")
        return self._merge(connection, instrument, self._reconcile(connection, instrument, history, start))

    def _reconcile(
        self, connection: Connection, instrument: Instrument, history: FetchedPrices, start: date | None = None
    ) -> _Reconciliation:
        """Check an answer and compare it with the bars stored from `start` (inclusive) on; None = all."""
        answer = self._check(instrument.calendar, history)
        stored, stored_actions = (
            load_stored(connection, instrument.symbol, start),
            read_actions(connection, instrument.symbol),
        )
        splits = new_splits(stored_actions, answer.actions)
        comparison = compare(stored.rows, answer.checked.rows, splits)
        answered = answer.against(stored.rows)
        undone = tuple(action for action in answered.missing(stored_actions) if action.kind is ActionKind.SPLIT)
        if undone and comparison.verdict is Verdict.SUSPECT:
            inverse = undone_splits(undone, answer.actions)
            other = compare(stored.rows, answer.checked.rows, (*splits, *inverse))
            if other.verdict is Verdict.REBASED:
                return _Reconciliation(answer, stored, stored_actions, other, answered, undone)
        return _Reconciliation(answer, stored, stored_actions, comparison, answered, ())

    def _merge(self, connection: Connection, instrument: Instrument, reconciled: _Reconciliation) -> PullOutcome | None:
        answer, stored, comparison = reconciled.answer, reconciled.stored, reconciled.comparison
        if comparison.verdict is Verdict.REBASED:
            return None
        if comparison.verdict is Verdict.SUSPECT:
            return self.hold(connection, instrument.symbol, comparison.reason)
        if instrument.state != SymbolState.OK:
            self._settle(connection, instrument.symbol, QuarantineState.CLEARED)
        writer = self._writer(connection, instrument.symbol)
        answered = reconciled.answered
        rows = _anchored(stored.rows, answer.checked.rows)
        changes = decide_actions(connection, instrument.symbol, reconciled.actions, answered, rows)
        effective = changes.effective(reconciled.actions)
        accepted, counts = self._accept(writer, instrument, answer, stored, effective)
        counts["revised"] = writer.revise(stored, answer.checked.rows, comparison, instrument.basis)
        new = accepted.take(~np.isin(accepted.sessions, stored.rows.sessions))
        counts["added"] = writer.put(new, np.ones(len(new), np.int64))
        counts["withdrawn"] = writer.withdraw_actions(changes.withdrawn, instrument.basis)
        counts["actions"] = writer.put_actions(reconciled.actions, changes.applied, instrument.basis)
        counts["suspect_actions"] = hold_actions(connection, instrument.symbol, changes, answered, self.at)
        writer.move_span(instrument.first_session, instrument.last_session, new.sessions)
        self._ensure(connection, answer, new)
        recovered = set_state(connection, instrument.symbol, SymbolState.OK, None, self.at)
        if recovered or any(counts[name] for name in ("revised", "added", "actions", "withdrawn", "recorded")):
            raise_changes(connection, [instrument.symbol])
        return self._outcome(connection, instrument, self._own_session(answer.calendar), counts)

    def whole(
        self, connection: Connection, instrument: Instrument, history: FetchedPrices, start: date
    ) -> PullOutcome | None:
        """Merge a whole history into the stored bars; `start` is the first session of a usual pull.

        A suspect change of old bars is recorded as a hold; the newest bars are stored nevertheless.

        Returns:
            The same as `later`.
        """
        reason = "the whole history is empty"
        if len(history.bars):
            reconciled = self._reconcile(connection, instrument, history)
            if reconciled.comparison.verdict is not Verdict.SUSPECT and not reconciled.gap:
                if reconciled.comparison.verdict is Verdict.SAME_BASIS:  # a split may confirm the hold, see `rebase`
                    self._settle(connection, instrument.symbol, QuarantineState.CLEARED)
                return self._merge(connection, instrument, reconciled)
            reason = f"compared as a whole, {reconciled.comparison.reason or f'it {reconciled.gap}: another company?'}"
        recent = replace(history, bars=history.bars[history.bars.index >= start.isoformat()])
        recent = replace(recent, actions=tuple(action for action in history.actions if action.ex_date >= start))
        outcome = self.later(connection, instrument, recent, start)
        if outcome is not None and outcome.state != "suspect":
            raise_hold(connection, instrument.symbol, SymbolHold.BASIS, reason, self.session, self.at)
        return outcome

    def rebase(self, connection: Connection, instrument: Instrument, history: FetchedPrices) -> PullOutcome:
        """Replace the stored history if the answer is on a new basis; else put the symbol on hold."""
        if len(history.bars) == 0:
            return self.hold(connection, instrument.symbol, "a split was announced and the whole history is empty")
        reconciled = self._reconcile(connection, instrument, history)
        if reconciled.comparison.verdict is not Verdict.REBASED:
            reason = reconciled.comparison.reason or "a split was announced and withdrawn"
            return self.hold(connection, instrument.symbol, reason)
        if reconciled.gap:
            return self.hold(connection, instrument.symbol, f"the re-based history {reconciled.gap}")
        self._settle(connection, instrument.symbol, QuarantineState.CONFIRMED)
        return self._replace(connection, instrument, reconciled)

    def allowed(self, connection: Connection, instrument: Instrument, history: FetchedPrices) -> PullOutcome:
        """Replace the stored history, on a new basis, by one that a person allowed."""
        if len(history.bars) == 0:
            return PullOutcome(
                instrument.symbol, "no_data", "the source answered no bars; the allowed history is fetched again"
            )
        reconciled = self._reconcile(connection, instrument, history)
        use_allowance(connection, instrument.symbol, self.at)
        return self._replace(connection, instrument, reconciled)

    def _replace(self, connection: Connection, instrument: Instrument, reconciled: _Reconciliation) -> PullOutcome:
        answer = reconciled.answer
        writer = self._writer(connection, instrument.symbol)
        symbol, answered = instrument.symbol, reconciled.answered
        rows = answer.checked.rows
        changes = decide_actions(connection, symbol, reconciled.actions, answered, rows, reconciled.undone)
        effective = changes.effective(reconciled.actions)
        accepted, counts = self._accept(writer, instrument, answer, reconciled.stored, effective)
        counts["rebased"], counts["revised"] = writer.replace(
            reconciled.stored, accepted, reconciled.comparison, instrument.basis
        )
        known = reconciled.actions
        counts["actions"] = writer.replace_actions(known, changes.applied, instrument.basis, changes.kept)
        counts["suspect_actions"] = hold_actions(connection, symbol, changes, answered, self.at)
        writer.move_span(None, None, accepted.sessions, instrument.basis + 1)
        self._ensure(connection, answer, accepted)
        set_state(connection, instrument.symbol, SymbolState.OK, None, self.at)
        raise_changes(connection, [instrument.symbol])
        return self._outcome(connection, instrument, self._own_session(answer.calendar), counts)

    def hold(self, connection: Connection, symbol: str, reason: str) -> PullOutcome:
        """Put the symbol on hold and mark it as suspect; nothing of the answer is stored."""
        raise_hold(connection, symbol, SymbolHold.BASIS, reason, self.session, self.at)
        return self.mark(connection, PullOutcome(symbol, "suspect", reason), SymbolState.SUSPECT)

    def missed(self, connection: Connection, instrument: Instrument, outcome: PullOutcome) -> PullOutcome:
        """Record that a live vendor no longer has a stored symbol; it counts as unknown on the third session."""
        gone = outcome.reason or "no such symbol"
        sessions_seen = raise_hold(connection, instrument.symbol, SymbolHold.GONE, gone, self.session, self.at)
        if sessions_seen >= SESSIONS_SEEN:
            settle_holds(connection, instrument.symbol, SymbolHold.GONE, QuarantineState.CONFIRMED, self.at)
            return self.mark(connection, outcome, SymbolState.UNKNOWN)
        reason = (
            f"{outcome.reason}; reported on {sessions_seen} of the {SESSIONS_SEEN} sessions before it counts as unknown"
        )
        return self.mark(connection, PullOutcome(instrument.symbol, "no_data", reason), SymbolState.FAILING)

    def _settle(self, connection: Connection, symbol: str, basis: QuarantineState) -> None:
        """Settle the holds that end when the source answers with bars."""
        settle_holds(connection, symbol, SymbolHold.BASIS, basis, self.at)
        settle_holds(connection, symbol, SymbolHold.GONE, QuarantineState.CLEARED, self.at)

    def mark(self, connection: Connection, outcome: PullOutcome, state: SymbolState) -> PullOutcome:
        """Store an outcome's reason as the instrument's state."""
        if set_state(connection, outcome.symbol, state, outcome.reason, self.at):
            raise_changes(connection, [outcome.symbol])
        return outcome

    def _writer(self, connection: Connection, symbol: str) -> Writer:
        return Writer(connection, symbol, self.source, self.at)

    def _check(self, calendar_name: str, history: FetchedPrices) -> Answer:
        with Phase("check", rows=len(history.bars)):
            days = history.bars.index.to_numpy().astype("datetime64[D]")
            oldest, newest = days.min().astype(object), max(days.max().astype(object), self.session)
            calendar = calendar_around(self.calendars, calendar_name, oldest, newest)
            settle = self.settings.settle(calendar.name)
            at = np.datetime64(self.at.replace(tzinfo=None), "s")
            checked = check_rows(history, calendar.table(oldest, newest), settle, at)
            actions, findings = check_actions(history.actions, checked.rows)
        return Answer(calendar, checked, actions, (*checked.findings, *findings), history.states_actions)

    def _accept(
        self, writer: Writer, instrument: Instrument, answer: Answer, stored: Stored, actions: tuple[Action, ...]
    ) -> tuple[Rows, dict[str, int]]:
        """Return the rows to store and the counts; other rows are recorded. Stored bars are never suspect."""
        rows, checked = answer.checked.rows, answer.checked
        anchored = _anchored(stored.rows, rows)
        trusted = np.isin(anchored.sessions, stored.rows.sessions)
        kind = series_kind(instrument.instrument_type, instrument.symbol in self.volatility)
        suspects = find_suspects(anchored, actions, trusted, kind)
        staying = settle_suspects(writer.connection, instrument.symbol, anchored, suspects, self.at)
        held = anchored.sessions[sorted(staying)]
        counts = {
            "holes": checked.holes,
            "partial": checked.partial,
            "duplicates": checked.duplicates,
            "repeated": checked.repeated,
            "absent": checked.absent,
            "incomplete": checked.incomplete,
            "refused": sum(finding.state == "refused" for finding in answer.findings),
            "repaired": sum(finding.state == "repaired" for finding in answer.findings),
            "recorded": record_findings(writer.connection, instrument.symbol, answer.findings, self.at),
            "suspect": len(staying),
            "own_suspect": int(np.isin(np.datetime64(self.session, "D"), held)),
        }
        return rows.take(~np.isin(rows.sessions, held)), counts

    def _ensure(self, connection: Connection, answer: Answer, written: Rows) -> None:
        calendar = answer.calendar
        first = min(written.sessions[0].astype(object), self.session) if len(written) else self.session
        ahead = calendar.next(self.session, AHEAD)
        moved = 0
        known = self.ensured.get(calendar.name, (first, first))
        # One calendar of a pull is the same for all of its symbols: only a longer span is compared again.
        if first < known[0] or ahead > known[1]:
            first = min(first, known[0])
            moved = refresh_sessions(connection, calendar, first, ahead)
            ensure_sessions(connection, calendar, first, ahead)
            self.ensured[calendar.name] = (first, ahead)
        if reopen(connection, calendar.name, written.sessions.tolist()) + moved:
            raise_changes(connection, [each.symbol for each in list_instruments(connection, calendar=calendar.name)])

    def _own_session(self, calendar: MarketCalendar, moved: bool = False) -> date:
        """Return the session whose bar is expected: the pull's, else the newest before it on the calendar."""
        own = self.session if calendar.is_session(self.session) else calendar.previous(self.session)
        if not moved:
            return own
        newest = calendar.newest_final(self.at, self.settings.settle(calendar.name))
        return own if newest is None else min(own, newest)

    def _outcome(
        self, connection: Connection, instrument: Instrument, session: date, counts: dict[str, int]
    ) -> PullOutcome:
        own_suspect = counts.pop("own_suspect")
        done = {name: count for name, count in counts.items() if count}
        if has_bar(connection, instrument.symbol, session):
            return PullOutcome(instrument.symbol, "ok", None, done)
        if own_suspect:
            return PullOutcome(instrument.symbol, "suspect", f"the close of {session} jumps; it is in quarantine", done)
        return PullOutcome(instrument.symbol, "no_bar", f"the bar of {session} has not arrived yet", done)


def _anchored(stored: Rows, answered: Rows) -> Rows:
    """Return the rows of an answer, with the stored ones before it."""
    if not (len(stored) and len(answered) and stored.sessions[0] < answered.sessions[0]):
        return answered
    older = stored.take(stored.sessions < answered.sessions[0])
    return Rows(np.concatenate([older.sessions, answered.sessions]), np.concatenate([older.values, answered.values]))
