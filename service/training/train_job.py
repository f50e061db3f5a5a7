"""The train job: fits one group's networks and random walks, then decides on them.

Networks are fitted in a child process of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, func, select

from models.config import MIN_TRAINING_DATES, ModelConfig, Strategy
from models.errors import TooLittleHistory
from models.gate import Evidence
from models.preprocessing.price_history import Panel
from models.training.refit_check import Predecessor
from models.training.tasks import train_forecasters
from models.training.train import TrainedArtifact, TrainProgress, TrainRequest
from service.db.tables import bars, instruments
from service.execution.executor import Executor, TaskFailed
from service.market.instruments import STATISTICAL_GROUPS, group_symbols
from service.prices.panel import PanelQuery, load_panel
from service.runs import Outcome, Run, finish, guard, outcome_counts, record_outcomes
from service.runtime.context import ServiceContext
from service.training.progress import StoredProgress
from service.training.promotion.decide import NewVersions, promote
from service.training.promotion.gate import live_evidence_by_config, update_approval
from service.training.registry.approvals import ConfigKey, approval_key, read_approval
from service.training.registry.versions import Recorded, add_version, champion
from service.vocabulary import RANDOM_WALK, TrainOutcome


@dataclass(frozen=True, slots=True)
class FitRequest:
    """Request to fit a group's forecasters.

    Attributes:
        group: The group.
        symbols: Its symbols.
        cut_at: Only bars final by this market-time instant (inclusive) are used.
        networks: Whether networks are fitted, or the random walk alone.
    """

    group: str
    symbols: tuple[str, ...]
    cut_at: datetime
    networks: bool


def train(context: ServiceContext, run: Run) -> None:
    """Train a group at the run's scheduled instant and record the result."""
    with context.database.reading() as connection:
        symbols = group_symbols(connection, run.scope)
        dates = pooled_dates(connection, run.scope)
    networks = run.scope not in STATISTICAL_GROUPS and dates >= MIN_TRAINING_DATES
    no_network_reason = _reason_without_network(run.scope, dates)
    fit_request = FitRequest(run.scope, symbols, run.scheduled_for, networks)
    with StoredProgress(context, run) as progress:
        try:
            trained = fit(context, fit_request, context.child if networks else context.warm, progress.update)
        except TaskFailed as error:
            if error.kind != TooLittleHistory.__name__:
                raise
            no_network_reason = str(error)  # enough bars, but too few complete windows
            networks, fit_request = False, replace(fit_request, networks=False)
            trained = fit(context, fit_request, context.warm)
        live = _read_live_evidence(context, run.scope, trained)
        with context.database.transaction() as connection:
            guard(connection, run)
            decisions = record(context, connection, fit_request, trained, run, live)
            outcomes = [Outcome(symbol, TrainOutcome.TRAINED) for symbol in symbols]
            if not networks:
                outcomes = [Outcome(symbol, TrainOutcome.RANDOM_WALK_ONLY, no_network_reason) for symbol in symbols]
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
    for strategy, config in configs.items():
        requests.append(TrainRequest(panel, ModelConfig(RANDOM_WALK, strategy), cut_at, store))
        substitute = context.substitutes(fit_request.group).get(strategy)
        for network in (config, substitute) if fit_request.networks else ():
            if network is not None:
                request = TrainRequest(panel, network, cut_at, store)
                requests.append(_with_gate_inputs(context, fit_request.group, request))

    def report(progress: TrainProgress) -> None:
        detail = f"{progress.strategy.value}, seed {progress.seed}, epoch {progress.epoch}"
        context.reporter.progress(f"training {fit_request.group}", min(progress.fraction, 0.99), detail)
        if update is not None:
            update(progress.fraction, detail)

    trained: tuple[TrainedArtifact, ...] = executor.run(train_forecasters, tuple(requests), report)
    if fit_request.networks:
        context.reporter.progress(f"training {fit_request.group}", 1.0, "done")
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
        ids: dict[str, int] = {}
        networks: list[TrainedArtifact] = []
        for artifact in trained:
            if artifact.config.strategy is strategy:
                forecaster = artifact.config.forecaster
                ids[forecaster] = add_version(connection, fit_request.group, artifact, fit_request.cut_at, recorded)
                networks += [] if forecaster == RANDOM_WALK else [artifact]
        new = NewVersions(fit_request.group, strategy.value, ids[RANDOM_WALK], None, {})
        for network in reversed(networks):  # the configured one is last, and the decision is on it
            config = network.config
            new = replace(
                new,
                network=ids[config.forecaster],
                substitute=new.network,
                metrics=network.metrics,
                config_hash=config.hash(),
                forecaster=config.forecaster,
            )
            update_approval(connection, new.key, network.evidence, live.get(new.key), recorded)
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
    """Return the request with the inputs of the gate: evidence and predecessor."""
    config = request.config
    key = ConfigKey(group, config.strategy.value, config.hash(), config.forecaster)
    with context.database.reading() as connection:
        with_evidence = read_approval(connection, key).may_attempt
        serving = champion(connection, group, config.strategy.value)
    predecessor = None
    if serving is not None and serving.is_network:
        predecessor = Predecessor(serving.folder(context.settings.artifact_dir), serving.sha256, serving.id)
    return replace(request, with_evidence=with_evidence, predecessor=predecessor)


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
    with context.database.reading() as connection:
        return load_panel(connection, query)


def _reason_without_network(group: str, dates: int) -> str:
    if group in STATISTICAL_GROUPS:
        return f"group {group} is served by the random walk"
    return f"{dates} pooled sessions of the {MIN_TRAINING_DATES} a network needs"
