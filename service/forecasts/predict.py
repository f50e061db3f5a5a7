"""Forecasts the candidates of a group with every serving version.

For each symbol and strategy it chooses the version that is served, and gives the reason.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from sqlalchemy import Connection

from models.calibration import CalibrationState, calibrate_batch
from models.config import INPUT_MEMORY, MAX_LOOKBACK, Strategy
from models.errors import ArtifactError
from models.forecaster import ForecastBatch
from models.phases import Phase
from models.preprocessing.price_history import FloatArray
from models.training.tasks import ArtifactReference, ForecastTask, forecast_panel
from service.forecasts.calibration.states import read_states
from service.forecasts.candidates import Candidate
from service.forecasts.publication import NewForecast, ServedForecast
from service.prices.panel import PanelQuery, load_panel
from service.runs import Outcome
from service.runtime.context import SUBSTITUTE, ServiceContext
from service.training.registry.approvals import approval_key, read_approval
from service.training.registry.versions import ModelVersion, previous_champions, serving_versions
from service.vocabulary import ForecastOutcome, ModelStatus

SPARE_SESSIONS = 60
"""Extra sessions read, so that a few missing bars do not exclude a long history from the network."""

BARS, CALIBRATE = "read bars", "calibrate"
"""Phases of a forecast run."""

STAND_INS_TRIED = 3
"""Earlier champions that are tried when the champion's artifact is refused."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Forecasts of a group, the served ones, and an outcome per symbol."""

    forecasts: tuple[NewForecast, ...] = ()
    items: tuple[ServedForecast, ...] = ()
    outcomes: tuple[Outcome, ...] = ()

    @staticmethod
    def joined(parts: Sequence["Predictions"]) -> "Predictions":
        """Return the predictions of several groups as one."""
        return Predictions(
            tuple(item for part in parts for item in part.forecasts),
            tuple(item for part in parts for item in part.items),
            tuple(item for part in parts for item in part.outcomes),
        )

    def of(self, symbols: Collection[str]) -> "Predictions":
        """Return the predictions of some symbols."""
        return Predictions(
            tuple(item for item in self.forecasts if item.symbol in symbols),
            tuple(item for item in self.items if item.symbol in symbols),
            tuple(item for item in self.outcomes if item.symbol in symbols),
        )


@dataclass(frozen=True, slots=True)
class GroupForecasts:
    """Batches of a group's versions, and the row of each symbol in them.

    Attributes:
        versions: Version by its id.
        batches: Batch by version id; without versions that failed.
        rows: Version id -> symbol -> row of its batch.
        refused: Version id -> symbol -> why it has no forecast.
        substitutes: Versions that may serve symbols which the champion has not seen.
        stand_ins: Id of a champion that cannot be loaded -> id of the champion before it, which serves instead.
    """

    versions: dict[int, ModelVersion]
    batches: dict[int, ForecastBatch]
    rows: dict[int, dict[str, int]]
    refused: dict[int, dict[str, str]]
    substitutes: frozenset[int] = frozenset()
    stand_ins: Mapping[int, int] = field(default_factory=dict)


def predict(
    context: ServiceContext,
    group: str,
    candidates: Sequence[Candidate],
    calendar: str,
    as_of: date,
    model_versions: Sequence[ModelVersion] | None = None,
) -> Predictions:
    """Forecast some symbols of one group at as_of with every serving version.

    Args:
        context: The service's parts.
        group: The group of all candidates.
        candidates: Symbols that have as_of's bar.
        calendar: Their calendar.
        as_of: T-1.
        model_versions: Versions that forecast, with their status at that time; None = those that serve now.
    """
    symbols = tuple(candidate.symbol for candidate in candidates)
    computed = compute_group(context, group, symbols, context.calendars.final_at(calendar, as_of), model_versions)
    return complete(context, candidates, calendar, as_of, computed)


def complete(
    context: ServiceContext, candidates: Sequence[Candidate], calendar: str, as_of: date, computed: GroupForecasts
) -> Predictions:
    """Calibrate the forecasts of a group with the states stored as of as_of, and choose the served ones.

    Args:
        context: The service's parts.
        candidates: As in `predict`, like `calendar` and `as_of`.
        computed: What `compute_group` returned for them.
    """
    by_symbol = {candidate.symbol: candidate for candidate in candidates}
    targets = context.calendars.targets(calendar, as_of, Strategy.MULTI_STEP.horizon)
    forecasts: list[NewForecast] = []
    with Phase(CALIBRATE) as calibrating:
        states = _states(context, computed, calendar, as_of)
        for version_id, batch in computed.batches.items():
            strategy = computed.versions[version_id].strategy
            calibrated = calibrate_batch(states[version_id].steps, batch.quantiles, batch.sigma)
            for row, symbol in enumerate(batch.symbols):
                batch_row = _BatchRow(version_id, strategy, batch, calibrated, row)
                forecasts.extend(_new_forecasts(by_symbol[symbol], as_of, targets, batch_row))
        calibrating.rows = len(forecasts)
    items: list[ServedForecast] = []
    outcomes: list[Outcome] = []
    for symbol in by_symbol:
        served = [_serve(computed, symbol, strategy) for strategy in Strategy]
        chosen = [item for item in served if isinstance(item, ServedForecast)]
        items.extend(chosen)
        refused = [item for item in served if isinstance(item, str)]
        state = ForecastOutcome.FORECAST if chosen else ForecastOutcome.REFUSED
        outcomes.append(Outcome(symbol, state, None if chosen else refused[0]))
    return Predictions(tuple(forecasts), tuple(items), tuple(outcomes))


def compute_group(
    context: ServiceContext,
    group: str,
    symbols: tuple[str, ...],
    until: datetime,
    model_versions: Sequence[ModelVersion] | None,
) -> GroupForecasts:
    """Forecast symbols of a group with every version, not calibrated; depends on bars and versions alone.

    Args:
        context: The service's parts.
        group: The group of all symbols.
        symbols: Symbols that have as_of's bar.
        until: Aware UTC market time, as_of's final instant.
        model_versions: As in `predict`.
    """
    with context.database.reading() as connection:
        used = serving_versions(connection, group) if model_versions is None else model_versions
        substitutes = frozenset(v.id for v in used if model_versions is None and _may_substitute(connection, v))
    computed = replace(_compute(context, symbols, until, used), substitutes=substitutes)
    if model_versions is None:
        for version in used:
            if version.is_network and version.status == ModelStatus.CHAMPION and version.id not in computed.batches:
                computed = _with_stand_in(context, symbols, until, computed, version)
    return computed


def _compute(
    context: ServiceContext, symbols: tuple[str, ...], until: datetime, used: Sequence[ModelVersion]
) -> GroupForecasts:
    """Return the forecasts of some versions; one whose artifact is refused has its reason for every symbol."""
    rows, store = INPUT_MEMORY + MAX_LOOKBACK + SPARE_SESSIONS, context.settings.artifact_dir
    versions = {version.id: version for version in used}
    references = tuple(sorted({name for version in used for name in version.references}))
    with Phase(BARS) as reading, context.database.reading() as connection:
        panel = load_panel(connection, PanelQuery(symbols, references, until, context.calendars.settle, rows))
        reading.rows = panel.bars
    artifacts: list[ArtifactReference] = []
    results: dict[int, ForecastBatch | str] = {}
    for version in used:
        try:
            artifacts.append(ArtifactReference(version.id, version.folder(store), version.sha256))
        except ArtifactError as error:
            results[version.id] = str(error)
    results |= context.warm.run(forecast_panel, ForecastTask(panel, tuple(artifacts)))
    batches = {key: batch for key, batch in results.items() if isinstance(batch, ForecastBatch)}
    refused = {key: {r.symbol: r.reason for r in batch.skipped} for key, batch in batches.items()}
    for key, batch in results.items():
        if isinstance(batch, str):
            context.reporter.notice(f"model version {key} cannot forecast: {batch}")
            refused[key] = dict.fromkeys(symbols, batch)
    rows_of = {key: {symbol: row for row, symbol in enumerate(batch.symbols)} for key, batch in batches.items()}
    return GroupForecasts(versions, batches, rows_of, refused)


def _with_stand_in(
    context: ServiceContext,
    symbols: tuple[str, ...],
    until: datetime,
    computed: GroupForecasts,
    champion: ModelVersion,
) -> GroupForecasts:
    """Add the forecasts of the newest accepted champion before one that cannot be loaded; the same without any."""
    with context.database.reading() as connection:
        earlier = [
            version
            for version in previous_champions(connection, champion)
            if read_approval(connection, approval_key(version)).accepted
        ]
    for version in earlier[:STAND_INS_TRIED]:
        known = version.id in computed.batches
        other = computed if known else _compute(context, symbols, until, (version,))
        if version.id in other.batches:
            return replace(
                computed,
                versions=computed.versions | {version.id: version},
                batches=computed.batches | other.batches,
                rows=computed.rows | other.rows,
                refused=computed.refused | other.refused,
                stand_ins={**computed.stand_ins, champion.id: version.id},
            )
    return computed


def _may_substitute(connection: Connection, version: ModelVersion) -> bool:
    """Return whether a version may serve symbols that the spatiotemporal champion has not seen."""
    if version.status != ModelStatus.CHALLENGER or version.forecaster != SUBSTITUTE:
        return False
    return read_approval(connection, approval_key(version)).accepted


def _states(
    context: ServiceContext, computed: GroupForecasts, calendar: str, as_of: date
) -> dict[int, CalibrationState]:
    with context.database.reading() as connection:
        return read_states(connection, computed.batches, calendar, as_of)


def _serve(computed: GroupForecasts, symbol: str, strategy: Strategy) -> ServedForecast | str:
    """Return the served forecast of a symbol and strategy, or why there is none."""
    versions = [v for v in computed.versions.values() if v.strategy == strategy.value]
    champion = next((v for v in versions if v.status == ModelStatus.CHAMPION), None)
    walk = next((v for v in reversed(versions) if not v.is_network), None)
    if champion is not None and symbol in computed.rows.get(champion.id, {}):
        return ServedForecast(symbol, strategy.value, champion.id, champion.reason)
    reason_without = "" if champion is None else computed.refused.get(champion.id, {}).get(symbol, "")
    stand_in = None if champion is None else computed.stand_ins.get(champion.id)
    if stand_in is not None and symbol in computed.rows[stand_in]:
        reason = f"version {stand_in}, the champion before it, serves: {reason_without}"
        return ServedForecast(symbol, strategy.value, stand_in, reason)
    for substitute in (v for v in versions if v.id in computed.substitutes):
        if reason_without and symbol in computed.rows.get(substitute.id, {}):
            reason = f"the {substitute.forecaster} serves instead: {reason_without}"
            return ServedForecast(symbol, strategy.value, substitute.id, reason)
    if walk is None:
        return f"group has no forecaster for {strategy.value} yet"
    if walk is not champion and symbol in computed.rows.get(walk.id, {}):
        reason = f"the random walk serves: {reason_without or 'the champion gave no forecast'}"
        return ServedForecast(symbol, strategy.value, walk.id, reason)
    return computed.refused.get(walk.id, {}).get(symbol, reason_without) or f"{symbol}: no forecaster gave a forecast"


@dataclass(frozen=True, slots=True)
class _BatchRow:
    """One symbol's row in the batch of a model version, with the calibrated quantiles."""

    version_id: int
    strategy: str
    batch: ForecastBatch
    calibrated: FloatArray
    row: int


def _new_forecasts(
    candidate: Candidate, as_of: date, targets: Sequence[date], batch_row: _BatchRow
) -> list[NewForecast]:
    assert candidate.close is not None
    batch, row = batch_row.batch, batch_row.row
    forecasts = []
    for position in range(batch.quantiles.shape[1]):
        forecasts.append(
            NewForecast(
                symbol=candidate.symbol,
                as_of=as_of,
                step=position + 1,
                target_session=targets[position],
                strategy=batch_row.strategy,
                model_version_id=batch_row.version_id,
                revision=candidate.revision + 1,
                basis=candidate.basis,
                last_close=candidate.close,
                sigma=float(batch.sigma[row]),
                raw=tuple(batch.quantiles[row, position].tolist()),
                calibrated=tuple(batch_row.calibrated[row, position].tolist()),
                degraded=tuple(batch.degraded[row]),
            )
        )
    return forecasts
