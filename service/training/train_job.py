"""The train job: fits one group's networks and random walks in a child process, then decides on them."""

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
from service.training.promotion.gate import live_of, update_approval
from service.training.registry.approvals import ConfigKey, key_of, read_approval
from service.training.registry.versions import Recorded, add_version, champion
from service.vocabulary import RANDOM_WALK


@dataclass(frozen=True, slots=True)
class Fitting:
    """What to fit for a group: up to an instant, with networks or the random walk alone."""

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
    lack = _reason_without_network(run.scope, dates)
    fitting = Fitting(run.scope, symbols, run.scheduled_for, networks)
    with StoredProgress(context, run) as progress:
        try:
            trained = fit(context, fitting, context.child if networks else context.warm, progress.update)
        except TaskFailed as error:
            if error.kind != TooLittleHistory.__name__:
                raise
            lack = str(error)  # enough bars, but too few complete windows
            networks, fitting = False, replace(fitting, networks=False)
            trained = fit(context, fitting, context.warm)
        live = _live(context, run.scope, trained)
        with context.database.transaction() as connection:
            guard(connection, run)
            sentences = record(context, connection, fitting, trained, run, live)
            outcomes = [Outcome(symbol, "trained") for symbol in symbols]
            if not networks:
                outcomes = [Outcome(symbol, "random_walk_only", lack) for symbol in symbols]
            record_outcomes(connection, run, outcomes)
            counts = {**outcome_counts(outcomes), "versions": len(trained)}
            finish(connection, run, context.machine.now(connection), counts=counts)
    for strategy, sentence in sentences.items():
        context.reporter.decision(run.scope, strategy, sentence)


def fit(
    context: ServiceContext, fitting: Fitting, executor: Executor, update: Callable[[float, str], None] | None = None
) -> tuple[TrainedArtifact, ...]:
    """Fit the random walk, and the network if requested, of every strategy; `update` receives the share done (0..1)."""
    configs = context.configs(fitting.group)
    panel = _panel(context, fitting, next(iter(configs.values())))
    cut_at = np.datetime64(fitting.cut_at.replace(tzinfo=None), "s")
    store = context.settings.artifact_dir
    store.mkdir(parents=True, exist_ok=True)
    requests: list[TrainRequest] = []
    for strategy, config in configs.items():
        requests.append(TrainRequest(panel, ModelConfig(RANDOM_WALK, strategy), cut_at, store))
        substitute = context.substitutes(fitting.group).get(strategy)
        for network in (config, substitute) if fitting.networks else ():
            if network is not None:
                wanted = TrainRequest(panel, network, cut_at, store)
                requests.append(_request_of_network(context, fitting.group, wanted))

    def report(progress: TrainProgress) -> None:
        detail = f"{progress.strategy.value}, seed {progress.seed}, epoch {progress.epoch}"
        context.reporter.progress(f"training {fitting.group}", min(progress.fraction, 0.99), detail)
        if update is not None:
            update(progress.fraction, detail)

    trained: tuple[TrainedArtifact, ...] = executor.run(train_forecasters, tuple(requests), report)
    if fitting.networks:
        context.reporter.progress(f"training {fitting.group}", 1.0, "done")
    return trained


def record(
    context: ServiceContext,
    connection: Connection,
    fitting: Fitting,
    trained: Sequence[TrainedArtifact],
    run: Run,
    live: Mapping[ConfigKey, Evidence],
) -> dict[str, str]:
    """Insert the versions and decide on them, in the caller's fenced transaction; sentences by strategy.

    The serving config is also tested on its live scores if another one was trained, or none.
    """
    recorded = Recorded.by(run, context.market.now(connection), context.machine.now(connection))
    sentences: dict[str, str] = {}
    for strategy in Strategy:
        ids: dict[str, int] = {}
        networks: list[TrainedArtifact] = []
        for artifact in trained:
            if artifact.config.strategy is strategy:
                forecaster = artifact.config.forecaster
                ids[forecaster] = add_version(connection, fitting.group, artifact, fitting.cut_at, recorded)
                networks += [] if forecaster == RANDOM_WALK else [artifact]
        new = NewVersions(fitting.group, strategy.value, ids[RANDOM_WALK], None, {})
        for network in reversed(networks):  # the configured one comes last and is decided on
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
        serving = champion(connection, fitting.group, strategy.value)
        if (
            serving is not None
            and serving.is_network
            and serving.config_hash not in {n.config.hash() for n in networks}
        ):
            key = key_of(serving)
            update_approval(connection, key, None, live.get(key), recorded)
        sentences[strategy.value] = promote(connection, new, recorded)
    return sentences


def _live(context: ServiceContext, group: str, trained: Sequence[TrainedArtifact]) -> dict[ConfigKey, Evidence]:
    """Return the live scores of the trained configs, and of those that serve."""
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
        keys += [key_of(version) for version in serving if version is not None and version.is_network]
        return live_of(connection, keys, evidence, context.mode)


def _request_of_network(context: ServiceContext, group: str, request: TrainRequest) -> TrainRequest:
    """Return the request with what the gate needs: evidence for the config, or its predecessor."""
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


def _panel(context: ServiceContext, fitting: Fitting, config: ModelConfig) -> Panel:
    references = tuple(reference.symbol for reference in config.references)
    query = PanelQuery(fitting.symbols, references, fitting.cut_at, context.calendars.settle)
    with context.database.reading() as connection:
        return load_panel(connection, query)


def _reason_without_network(group: str, dates: int) -> str:
    if group in STATISTICAL_GROUPS:
        return f"group {group} is served by the random walk"
    return f"{dates} pooled sessions of the {MIN_TRAINING_DATES} a network needs"
