"""The rows of one symbol's forecast answer, indexed for lookup."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.api.common.next_edition import NextEdition
from service.api.common.queries import Timing
from service.api.common.rows import EditionRow, ForecastRow, InstrumentRow, TrackRecordRow
from service.api.common.schemas import Strategy
from service.api.forecasts.forecast_prices import ForecastPrices
from service.api.forecasts.queries import ServedRow, VersionRow


@dataclass(frozen=True, slots=True)
class ForecastRows:
    """The rows of one symbol's answer.

    Attributes:
        instrument: Its row.
        edition: The edition of the answer.
        forecasts: Its forecasts in that edition, by strategy, version and step.
        served: Strategy -> the version that the edition served.
        versions: Id -> model version.
        prices: Turns log returns into prices on the forecasts' basis.
        records: Its track records.
        joint_states: Model version -> state of its joint band; None or missing if there was none.
        timing: The instants around as_of.
        next_edition: The next edition of its calendar.
        known_at: Aware UTC instant of the answer.
        changes_at: First later instant at which more of what is stored becomes known; None without any.
    """

    instrument: InstrumentRow
    edition: EditionRow
    forecasts: Sequence[ForecastRow]
    served: Mapping[Strategy, ServedRow]
    versions: Mapping[int, VersionRow]
    prices: ForecastPrices
    records: Sequence[TrackRecordRow]
    joint_states: Mapping[int, Mapping[str, Any] | None]
    timing: Timing
    next_edition: NextEdition
    known_at: datetime
    changes_at: datetime | None = None
    by_version: dict[tuple[Strategy, int], list[ForecastRow]] = field(default_factory=dict, init=False)
    by_forecaster: dict[tuple[Strategy, str, int | None], list[TrackRecordRow]] = field(
        default_factory=dict, init=False
    )

    def __post_init__(self) -> None:
        for row in self.forecasts:
            self.by_version.setdefault((row.strategy, row.model_version_id), []).append(row)
        for record in self.records:
            if record.mode == self.edition.mode:
                for step in (record.step, None):
                    self.by_forecaster.setdefault((record.strategy, record.forecaster, step), []).append(record)

    def pricer(self, row: ForecastRow) -> Callable[[float], float]:
        """Return the function from a log return of a forecast to the price; see `ForecastPrices.price`."""
        return self.prices.pricer(row.last_close, row.target_session)

    def track_records(self, strategy: Strategy, forecaster: str, step: int | None = None) -> list[TrackRecordRow]:
        """Return the track records of a forecaster in this edition's mode, of one step or of all."""
        return self.by_forecaster.get((strategy, forecaster, step), [])

    def is_served(self, strategy: Strategy, version_id: int) -> bool:
        """Return whether this edition served a version."""
        item = self.served.get(strategy)
        return item is not None and item.model_version_id == version_id
