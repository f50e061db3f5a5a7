"""Corporate actions: dividends, splits and adjustment factors."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class ActionKind(StrEnum):
    """Kinds of corporate action.

    `dividend`: cash per share, on the basis the source serves. `split`: new shares per old share
    (2.0 halves the price). `factor`: what all earlier closes are multiplied by to adjust them for
    an action whose parts are unknown (0.99 for a 1 % dividend).
    """

    DIVIDEND = "dividend"
    SPLIT = "split"
    FACTOR = "factor"


@dataclass(frozen=True, slots=True)
class Action:
    """A corporate action. `ex_date`: first session that trades without it."""

    ex_date: date
    kind: ActionKind
    value: float
