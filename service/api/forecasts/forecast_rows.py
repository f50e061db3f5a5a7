"""The rows of one symbol's forecast answer, indexed for lookup."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from service.api.common.queries import Timing


@dataclass(frozen=True, slots=True)
class ForecastRows:
    """The rows of one symbol's answer.

    Attributes:
        instrument: Its row.
        edition: The edition of the answer.
        forecasts: Its forecasts in that edition, by strategy, version and step.
        served: Strategy -> the version that the edition served.
        versions: Id -> model version.
        actions: Dividends and splits after as_of, as known now.
        records: Its track records.
        joints: Model version -> state of its joint band; missing if there was none.
        timing: The instants around as_of.
        now: Aware UTC market time.
        known_at: The instant of the answer.
    """

    instrument: Row[Any]
    edition: Row[Any]
    forecasts: Sequence[Row[Any]]
    served: dict[str, Row[Any]]
    versions: dict[int, Row[Any]]
    actions: Sequence[Row[Any]]
    records: Sequence[Row[Any]]
    joints: Mapping[int, Mapping[str, Any]]
    timing: Timing
    now: datetime
    known_at: datetime
    by_version: dict[tuple[str, int], list[Row[Any]]] = field(default_factory=dict, init=False)
    by_forecaster: dict[tuple[str, str], list[Row[Any]]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for row in self.forecasts:
            self.by_version.setdefault((row.strategy, row.model_version_id), []).append(row)
        for record in self.records:
            if record.mode == self.edition.mode:
                self.by_forecaster.setdefault((record.strategy, record.forecaster), []).append(record)

    @property
    def split_ratio(self) -> float:
        """New shares per share since the forecast's basis."""
        if self.instrument.basis == self.forecasts[0].basis:
            return 1.0
        return float(math.prod(action.value for action in self.actions if action.kind == "split"))

    def dividends(self, target: date) -> float:
        """Return known dividends per share on the forecast's basis, ex after as_of up to `target` (inclusive)."""
        # Stored dividends are on the newest basis, the forecast's close on its own.
        known = (
            action.value
            for action in self.actions
            if action.kind == "dividend" and action.ex_date <= target and action.fetched_at <= self.known_at
        )
        return float(sum(known)) * self.split_ratio

    def price(self, row: Row[Any], log_return: float) -> float:
        """Return the price for a log return, on the forecast's basis, less known dividends up to the target."""
        return float(row.last_close * math.exp(log_return) - self.dividends(row.target_session))

    def record_of(self, strategy: str, forecaster: str, step: int | None = None) -> list[Row[Any]]:
        """Return the track records of a forecaster in this edition's mode, of one step or of all."""
        return [row for row in self.by_forecaster.get((strategy, forecaster), ()) if step in (None, row.step)]

    def is_served(self, strategy: str, version_id: int) -> bool:
        """Return whether this edition served a version."""
        item = self.served.get(strategy)
        return item is not None and item.model_version_id == version_id
