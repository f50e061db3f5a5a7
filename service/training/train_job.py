"""The train job: fits one group's networks and random walks, then decides on them.

Networks are fitted in a child process of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import structlog
from sqlalchemy import Connection, func, select

from models.config import MIN_TRAINING_DATES, ModelConfig, Strategy
from models.errors import ArtifactError, TooLittleHistory
from models.gate import Evidence
from models.phases import Phase
from models.preprocessing.price_history import Panel
from models.training.device import Compute, Device
from models.training.refit_check import Predecessor
from models.training.tasks import train_forecasters
from models.training.train import TrainedArtifact, TrainProgress, TrainRequest
from service.db.change_counters import lock_changes
from service.db.tables import bars, instruments
from service.execution.executor import Executor, TaskFailed
from service.market.instruments import STATISTICAL_GROUPS, list_instruments
from service.prices.panel import PanelQuery, load_panel
from service.runs import Outcome, Run, finish, guard, outcome_counts, record_outcomes
from service.runtime.context import ServiceContext
from service.training.progress import StoredProgress
from service.training.promotion.decide import NewNetwork, NewVersions, promote
from service.training.promotion.gate import live_evidence_by_config, update_approval
from service.training.registry.approvals import ConfigKey, approval_key, read_approval
from service.training.registry.versions import ModelVersion, Recorded, add_version, champion, serving_versions
from service.vocabulary import RANDOM_WALK, ModelStatus, TrainOutcome

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FitRequest:
    """Request to fit a group's forecasters.

    Attributes:
        group: The group.
        symbols: Its symbols.
        cut_at: Only bars final by this market-time instant (inclusive) are used.
        reason_without: Why the random walk alone is fitted; empty if networks are fitted too.
    """

    group: str
    symbols: tuple[str, ...]
    cut_at: datetime
    reason_without: str = ""

    @property
    def networks(self) -> bool:
        """Whether networks are fitted."""
        return not self.reason_without


def train(context: ServiceContext, run: Run) -> None:
    """Train a group at the run's scheduled instant and record the result."""
    with context.database.reading() as connection:
        members = list_instruments(connection, group=run.scope, active=True)
        symbols = tuple(member.symbol for member in members if member.has_bars)
        dates = pooled_dates(connection, run.scope)
    fit_request = FitRequest(run.scope, symbols, run.scheduled_for, _reason_without_network(run.scope, dates))
    with StoredProgress(context, run) as progress:
        try:
            executor = context.child if fit_request.networks else context.warm
            trained = fit(context, fit_request, executor, progress.update)
        except TaskFailed as error:
            if error.kind != TooLittleHistory.__name__:
                raise
            # Enough bars, but too few complete windows.
            fit_request = replace(fit_request, reason_without=str(error))
            trained = fit(context, fit_request, context.warm)
        with Phase("live evidence"):
            live = _read_live_evidence(context, run.scope, trained)
        with Phase("decide"), context.database.transaction() as connection:
            guard(connection, run)
            lock_changes(connection)
            decisions = record(context, connection, fit_request, trained, run, live)
            outcomes = [Outcome(symbol, TrainOutcome.TRAINED) for symbol in symbols]
            if not fit_request.networks:
                reason = fit_request.reason_without
                outcomes = [Outcome(symbol, TrainOutcome.RANDOM_WALK_ONLY, reason) for symbol in symbols]
            record_outcomes(connection, run, outcomes)
            counts = {**outcome_counts(outcomes), "versions": len(trained)}
            finish(connection, run, context.machine.now(connection), counts=counts)
    for strategy, decision in decisions.items():
        context.reporter.decision(run.scope, strategy, decision)


def fit(
    context: ServiceContext,
    fit_request: FitRequest,
    executor: Executor,
    update: Callable[[float, str], None] | None = None,
) -> tuple[TrainedArtifact, ...]:
    """Fit the random walk of every strategy, and the network if requested.

    Args:
        context: The service's parts.
        fit_request: What to fit.
        executor: Where the fit runs.
        update: Receives the share done (0..1) and the current work.
    """
    configs = context.configs(fit_request.group)
    panel = _panel(context, fit_request, next(iter(configs.values())))
    cut_at = np.datetime64(fit_request.cut_at.replace(tzinfo=None), "s")
    store = context.settings.artifact_dir
    store.mkdir(parents=True, exist_ok=True)
    requests: list[TrainRequest] = []
    compute = Compute(Device(context.settings.device), context.settings.train_processes)
    for strategy, config in configs.items():
        requests.append(TrainRequest(panel, ModelConfig(RANDOM_WALK, strategy), cut_at, store))
        substitute = context.substitutes(fit_request.group).get(strategy)
        for network in (config, substitute) if fit_request.networks else ():
            if network is not None:
                request = TrainRequest(panel, network, cut_at, store, compute=compute)
                requests.append(_with_gate_inputs(context, fit_request.group, request))

    def report(progress: TrainProgress) -> None:
        detail = f"{progress.strategy.value}, seed {progress.seed}, epoch {progress.epoch}"
        context.reporter.progress(f"training {fit_request.group}", min(progress.fraction, 0.99), detail)
        if update is not None:
            update(progress.fraction, detail)

    trained: tuple[TrainedArtifact, ...] = executor.run(train_forecasters, tuple(requests), report)
    if fit_request.networks:
        context.reporter.progress(f"training {fit_request.group}", 1.0, "done")
    for note in sorted({artifact.metrics.get("device", {}).get("note", "") for artifact in trained} - {""}):
        _log.warning("device of the training", group=fit_request.group, note=note)
    return trained


def record(
    context: ServiceContext,
    connection: Connection,
    fit_request: FitRequest,
    trained: Sequence[TrainedArtifact],
    run: Run,
    live: Mapping[ConfigKey, Evidence],
) -> dict[str, str]:
    """Insert the versions and decide on them; return the decisions by strategy.

    This is part of the caller's fenced transaction. The serving config is also tested on its live scores if another
    one was trained, or none.
    """
    recorded = Recorded.by(run, context.market.now(connection), context.machine.now(connection))
    decisions: dict[str, str] = {}
    for strategy in Strategy:
        random_walk, networks, new_networks = 0, [], []
        for artifact in trained:
            if artifact.config.strategy is not strategy:
                continue
            config = artifact.config
            version = add_version(connection, fit_request.group, artifact, fit_request.cut_at, recorded)
            if config.forecaster == RANDOM_WALK:
                random_walk = version
                continue
            networks.append(artifact)
            new_networks.append(NewNetwork(version, artifact.metrics, config.hash(), config.forecaster))
        chosen, substitute = (*new_networks, None, None)[:2]  # in the order of the requests
        new = NewVersions(
            fit_request.group, strategy.value, random_walk, chosen, substitute, fit_request.reason_without
        )
        for network, artifact in zip(new_networks, networks, strict=True):  # the chosen one has the earlier attempt
            key = new.key(network)
            update_approval(connection, key, artifact.evidence, live.get(key), recorded)
        serving = champion(connection, fit_request.group, strategy.value)
        if (
            serving is not None
            and serving.is_network
            and serving.config_hash not in {network.config.hash() for network in networks}
        ):
            key = approval_key(serving)
            update_approval(connection, key, None, live.get(key), recorded)
        decisions[strategy.value] = promote(connection, new, recorded)
    return decisions


def _read_live_evidence(
    context: ServiceContext, group: str, trained: Sequence[TrainedArtifact]
) -> dict[ConfigKey, Evidence]:
    """Return the live evidence of the trained configs and the serving ones."""
    keys: list[ConfigKey] = []
    evidence: dict[ConfigKey, Evidence] = {}
    for artifact in trained:
        config = artifact.config
        if config.forecaster != RANDOM_WALK:
            keys.append(ConfigKey(group, config.strategy.value, config.hash(), config.forecaster))
            if artifact.evidence is not None:
                evidence[keys[-1]] = artifact.evidence
    with context.database.reading() as connection:
        serving = [champion(connection, group, strategy.value) for strategy in Strategy]
        keys += [approval_key(version) for version in serving if version is not None and version.is_network]
        return live_evidence_by_config(connection, keys, evidence, context.mode)


def _with_gate_inputs(context: ServiceContext, group: str, request: TrainRequest) -> TrainRequest:
    """Return the request with the inputs of the gate, and with the version of its config to start from."""
    config = request.config
    key = ConfigKey(group, config.strategy.value, config.hash(), config.forecaster)
    with context.database.reading() as connection:
        with_evidence = read_approval(connection, key).may_attempt
        serving = champion(connection, group, config.strategy.value)
        versions = serving_versions(connection, group)
    own = [v for v in versions if v.strategy == config.strategy.value and v.config_hash == key.config_hash]
    own.sort(key=lambda version: version.status == ModelStatus.CHAMPION)  # the last one: the champion, else the newest
    store = context.settings.artifact_dir
    return replace(
        request,
        with_evidence=with_evidence,
        predecessor=_predecessor(serving if serving is not None and serving.is_network else None, store),
        start_from=_predecessor(own[-1] if own else None, store),
    )


def _predecessor(version: ModelVersion | None, store: Path) -> Predecessor | None:
    if version is None:
        return None
    try:
        return Predecessor(version.folder(store), version.sha256, version.id)
    except ArtifactError:
        return None  # it cannot serve either, which the forecast job reports


def pooled_dates(connection: Connection, group: str) -> int:
    """Return the number of distinct sessions on which a group's active symbols have bars."""
    query = (
        select(func.count(bars.c.session.distinct()))
        .join(instruments, instruments.c.symbol == bars.c.symbol)
        .where(instruments.c.group == group, instruments.c.active)
    )
    return int(connection.execute(query).scalar_one())


def _panel(context: ServiceContext, fit_request: FitRequest, config: ModelConfig) -> Panel:
    references = tuple(reference.symbol for reference in config.references)
    query = PanelQuery(fit_request.symbols, references, fit_request.cut_at, context.calendars.settle)
    with Phase("read bars") as reading, context.database.reading() as connection:
        panel = load_panel(connection, query)
        reading.rows = panel.bars
    return panel


def _reason_without_network(group: str, dates: int) -> str:
    if group in STATISTICAL_GROUPS:
        return f"no network is trained for group {group}"
    if dates >= MIN_TRAINING_DATES:
        return ""
    return f"{dates} pooled sessions of the {MIN_TRAINING_DATES} a network needs"
