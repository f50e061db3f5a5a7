"""Decides what an answer changes in the stored actions: which are applied, held as suspect, or withdrawn."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from service.prices.checks.action_checks import (
    ActionKey,
    AnsweredSpan,
    SuspectAction,
    find_suspect_actions,
    key_of,
    missing_actions,
)
from service.prices.checks.row_checks import Rows
from service.prices.quarantine.action_quarantine import accepted_shares, settle_actions
from service.prices.sources.base import Action, ActionKind
from service.prices.store import is_same_action


@dataclass(frozen=True, slots=True)
class AnsweredActions:
    """The actions of an answer.

    Attributes:
        valid: Those that passed the checks of single actions.
        refused: Keys of the invalid ones: the source states an action there, so none is missing.
        stated: Whether the source has actions at all; if not, its silence says nothing.
        span: The dates for which the answer states actions.
    """

    valid: tuple[Action, ...]
    refused: frozenset[ActionKey]
    stated: bool
    span: AnsweredSpan

    def states(self, day: date) -> bool:
        """Return whether the answer says which actions have this ex-date."""
        return self.stated and (self.span.covers(day) or any(action.ex_date == day for action in self.valid))

    def missing(self, stored: tuple[Action, ...]) -> tuple[Action, ...]:
        """Return the stored actions that the answer should hold and does not."""
        if not self.stated:
            return ()
        return missing_actions(stored, self.refused | {key_of(action) for action in self.valid}, self.span)


@dataclass(frozen=True, slots=True)
class ActionChanges:
    """What an answer changes in the stored actions of a symbol.

    Attributes:
        applied: Answered actions that are stored.
        withdrawn: Stored actions that are removed and kept as revisions.
        kept: Stored actions that a re-based history does not replace.
        suspects: Answered dividends that are held.
    """

    applied: tuple[Action, ...] = ()
    withdrawn: tuple[Action, ...] = ()
    kept: tuple[Action, ...] = ()
    suspects: tuple[SuspectAction, ...] = ()

    def effective(self, stored: tuple[Action, ...]) -> tuple[Action, ...]:
        """Return the actions that are in effect after the change."""
        left = {key_of(action): action for action in stored if action not in self.withdrawn}
        return tuple((left | {key_of(action): action for action in self.applied}).values())


def decide_actions(
    connection: Connection,
    symbol: str,
    stored: tuple[Action, ...],
    answered: AnsweredActions,
    rows: Rows,
    undone: tuple[Action, ...] = (),
) -> ActionChanges:
    """Return what an answer changes.

    A missing split stays unless the closes undo it: prices on its basis show that it took place. Where the answer's
    dividend is suspect, the stored one stays unless it is that dividend.

    Args:
        connection: Any connection.
        symbol: Yahoo-style name.
        stored: Every stored action of the symbol.
        answered: The actions of the answer.
        rows: Bars of the answer, with the stored ones before it.
        undone: Missing splits that the closes undo.
    """
    accepted = accepted_shares(connection, symbol) if answered.valid else {}
    suspects = find_suspect_actions(answered.valid, stored, rows, accepted)
    held = {key_of(suspect.action): suspect.action.value for suspect in suspects}
    applied = tuple(action for action in answered.valid if key_of(action) not in held)
    missing = {action for action in answered.missing(stored) if action.kind is not ActionKind.SPLIT or action in undone}
    wrong = {a for a in stored if key_of(a) in held and is_same_action(a.value, held[key_of(a)])}
    replaced = {key_of(action) for action in applied}
    return ActionChanges(
        applied=applied,
        withdrawn=tuple(action for action in stored if action in missing | wrong),
        kept=tuple(action for action in stored if action not in missing | wrong and key_of(action) not in replaced),
        suspects=suspects,
    )


def hold_actions(
    connection: Connection, symbol: str, changes: ActionChanges, answered: AnsweredActions, at: datetime
) -> int:
    """Hold the suspect dividends, and settle those that the answer corrects; returns how many are new."""
    return settle_actions(connection, symbol, changes.suspects, answered.states, at)
