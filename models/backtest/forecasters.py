"""The forecasters of a backtest by name: networks in three strategies, and baselines in two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.backtest.folds import Fold, fold_spans
from models.backtest.protocols import (
    RECURSIVE,
    BacktestForecaster,
    ForecastHistory,
    ReportShare,
    ServingForecaster,
    between,
    build_history,
)
from models.backtest.recursive import PATHS, SEED, RecursiveForecaster
from models.backtest.spatiotemporal_forecaster import FittedSpatiotemporalForecaster
from models.baselines import RandomWalk, fit_random_walk, random_walk_config
from models.baselines.base import RowForecaster, no_sigma, sigma_rows
from models.baselines.drift import DRIFT, fit_drift
from models.baselines.garch import GARCH, Garch, fit_garch
from models.baselines.historical import HISTORICAL, historical
from models.config import MIN_HISTORY_NETWORK, ModelConfig, Strategy
from models.errors import UnknownNetwork
from models.forecaster import ForecastBatch
from models.forecasting.network_forecaster import RANDOM_WALK, NetworkForecaster
from models.networks.registry import is_spatiotemporal, network_info
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import PooledWindows
from models.training.device import Compute, Device
from models.training.fit import fit_config
from models.training.fit_seed import EpochEnd
from models.training.spatiotemporal.fit_network import FittedSpatiotemporalNetwork

BASELINES = (RANDOM_WALK, DRIFT, HISTORICAL, GARCH)
"""Names of the baselines; `linear`, the fifth, is a network of one layer and trained as one."""

FAST_BASELINES = (RANDOM_WALK, DRIFT, HISTORICAL)
"""Those that take no noticeable time: garch is estimated for each symbol in each fold."""

STRATEGIES = (Strategy.ONE_STEP.value, Strategy.MULTI_STEP.value, RECURSIVE)
"""All strategies, in the order of work in a fold: the recursive one uses the one-step fit."""

FAST_STRATEGIES = (Strategy.ONE_STEP.value, Strategy.MULTI_STEP.value)
"""Those that forecast all rows in one call: the recursive one draws paths for each row."""


@dataclass(frozen=True, slots=True)
class FittedNetworkForecaster(ServingForecaster[NetworkForecaster]):
    """A trained window network that forecasts many windows in one call.

    Attributes:
        facts: Figures of its training.
    """

    facts: Mapping[str, Any]

    def history(self, panel: Panel, first: np.datetime64, last: np.datetime64) -> ForecastHistory:
        """See `protocols.FittedForecaster`."""
        windows = _served_windows(self.forecaster, panel, first, last)
        history = build_history(windows, self.forecaster.quantiles(windows))
        seeds: dict[int, FloatArray] = {}
        if len(self.config.seeds) > 1:
            seeds = dict(zip(self.config.seeds, self.forecaster.seed_quantiles(windows), strict=True))
        return replace(history, facts=self.facts, seeds=seeds)


@dataclass(frozen=True, slots=True)
class FittedRecursiveForecaster(ServingForecaster[RecursiveForecaster]):
    """A trained one-step network applied recursively."""

    def history(self, panel: Panel, first: np.datetime64, last: np.datetime64) -> ForecastHistory:
        """See `protocols.FittedForecaster`; rows whose paths have no window are left out."""
        windows = _served_windows(self.forecaster.one_step, panel, first, last)
        all_steps = cut_windows(
            panel,
            replace(self.config, strategy=Strategy.MULTI_STEP),
            require_targets=False,
            min_bars=MIN_HISTORY_NETWORK,
        )
        # The rows of the one-step pipeline, with the targets of all three steps.
        raw = self.forecaster.quantiles(panel, windows)
        known = np.flatnonzero(~np.isnan(raw).any(axis=(1, 2)))
        return build_history(between(all_steps, first, last).select(known), raw[known])


@dataclass(frozen=True, slots=True)
class FittedBaselineForecaster(ServingForecaster[RowForecaster]):
    """A fitted baseline that forecasts many rows in one call."""

    def history(self, panel: Panel, first: np.datetime64, last: np.datetime64) -> ForecastHistory:
        """See `protocols.FittedForecaster`; rows without a forecast are left out."""
        rows = between(sigma_rows(panel, self.config.horizon), first, last)
        raw = self.forecaster.forecast_rows(panel, rows)
        known = np.flatnonzero(~np.isnan(raw).any(axis=(1, 2)))
        history = build_history(rows.select(known), raw[known])
        skipped = self.forecaster.skipped if isinstance(self.forecaster, Garch) else ()
        return replace(history, skipped=skipped)


@dataclass(frozen=True, slots=True)
class NetworkBacktestForecaster:
    """A network, made from a model config.

    Attributes:
        config: Network, strategy, lookback, inputs, sizes and seeds.
        device: Where it is trained; no part of its identity.
    """

    config: ModelConfig
    device: Device = Device.AUTO

    @property
    def name(self) -> str:
        """Name of the network."""
        return self.config.forecaster

    @property
    def strategy(self) -> str:
        """Strategy of the config."""
        return self.config.strategy.value

    @property
    def lookback(self) -> int:
        """Sessions in a window."""
        return self.config.lookback

    def identity(self) -> Mapping[str, Any]:
        """Return the config."""
        return self.config.to_dict()

    def fit(
        self, panel: Panel, fold: Fold, report: ReportShare
    ) -> FittedNetworkForecaster | FittedSpatiotemporalForecaster:
        """Train each seed on the fold's training span with early stopping on the validation span."""
        spans = fold_spans(cut_windows(panel, self.config, require_targets=True), fold)
        seeds = list(self.config.seeds)

        def report_epoch(epoch: EpochEnd) -> None:
            done = 1.0 if epoch.last else epoch.epoch / self.config.max_epochs
            report((seeds.index(epoch.seed) + done) / len(seeds))

        fitted = fit_config(panel, self.config, spans, report_epoch, None, Compute(self.device))
        facts = {"val_loss": list(fitted.val_losses), "epochs": list(fitted.epochs)}
        if isinstance(fitted, FittedSpatiotemporalNetwork):
            return FittedSpatiotemporalForecaster(fitted.forecaster, facts)
        return FittedNetworkForecaster(fitted.forecaster, facts)


@dataclass(frozen=True, slots=True)
class RecursiveBacktestForecaster:
    """A one-step network to be applied recursively.

    Attributes:
        one_step: The network; if a fold has fitted it already, see `from_one_step`.
        paths: Paths drawn for each forecast.
    """

    one_step: NetworkBacktestForecaster
    paths: int = PATHS

    @property
    def name(self) -> str:
        """Name of the network."""
        return self.one_step.name

    @property
    def strategy(self) -> str:
        """`recursive`."""
        return RECURSIVE

    @property
    def lookback(self) -> int:
        """Sessions in a window."""
        return self.one_step.lookback

    def identity(self) -> Mapping[str, Any]:
        """Return the config of the one-step network and how paths are drawn."""
        return {"one_step": self.one_step.identity(), "paths": self.paths, "seed": SEED}

    def fit(self, panel: Panel, fold: Fold, report: ReportShare) -> FittedRecursiveForecaster:
        """Fit the one-step network."""
        fitted = self.one_step.fit(panel, fold, report)
        assert isinstance(fitted, FittedNetworkForecaster)  # `build_forecasters` makes no recursive spatiotemporal one
        return self.from_one_step(fitted)

    def from_one_step(self, one_step: FittedNetworkForecaster) -> FittedRecursiveForecaster:
        """Return the recursive forecaster of a fitted one-step network."""
        return FittedRecursiveForecaster(RecursiveForecaster(one_step.forecaster, self.paths))


@dataclass(frozen=True, slots=True)
class BaselineForecaster:
    """A baseline of `BASELINES`.

    The random walk and the drift are fitted on the fold's training span, as the service fits them. Historical quantiles
    need no fit. Garch is estimated on everything before the fold, since it has no early stopping.

    Attributes:
        name: Name of the baseline.
        steps: The strategy, which gives the number of steps.
    """

    name: str
    steps: Strategy

    @property
    def strategy(self) -> str:
        """Name of the strategy."""
        return self.steps.value

    @property
    def lookback(self) -> int:
        """Always 1: a baseline has no windows."""
        return 1

    def identity(self) -> Mapping[str, Any]:
        """Return name and strategy."""
        return {"baseline": self.name, "strategy": self.strategy}

    def fit(self, panel: Panel, fold: Fold, report: ReportShare) -> FittedBaselineForecaster:  # noqa: ARG002 - the contract's signature
        """Fit the baseline; progress is not reported."""
        return FittedBaselineForecaster(self._fitted(panel, fold))

    def _fitted(self, panel: Panel, fold: Fold) -> RowForecaster:
        if self.name == RANDOM_WALK:
            return RandomWalkRows(fit_random_walk(panel, random_walk_config(self.steps), fold.train_until))
        if self.name == DRIFT:
            return fit_drift(panel, self.steps, fold.train_until)
        if self.name == HISTORICAL:
            return historical(self.steps)
        return fit_garch(panel, self.steps, fold.cut_at)


@dataclass(frozen=True, slots=True)
class RandomWalkRows:
    """The random walk as a forecaster of rows.

    Attributes:
        walk: The forecaster that serves.
    """

    walk: RandomWalk

    @property
    def config(self) -> ModelConfig:
        """Configuration; its strategy gives the horizon."""
        return self.walk.config

    def forecast_rows(self, panel: Panel, rows: PooledWindows) -> FloatArray:  # noqa: ARG002 - the interface's signature
        """Every row with a sigma is forecast from it alone."""
        return self.walk.at(rows.sigma)

    def forecast(self, panel: Panel) -> ForecastBatch:
        """See `forecaster.Forecaster`."""
        return self.walk.forecast(panel)

    def skip_reason(self, history: PriceHistory) -> str:
        """Every row with a sigma is forecast."""
        return no_sigma(history)


def build_forecasters(
    configs: Sequence[ModelConfig],
    baselines: Sequence[str],
    strategies: Sequence[str],
    device: Device = Device.AUTO,
) -> tuple[BacktestForecaster, ...]:
    """Return the requested forecasters, the one-step ones first.

    Args:
        configs: Networks; their strategy is ignored, they are made in each requested strategy.
        baselines: Names of `BASELINES`; made in `one_step` and `multi_step` if requested.
        strategies: Names of `STRATEGIES`; spatiotemporal networks are never made recursive.
        device: Where the networks are trained.

    Raises:
        UnknownNetwork: A network, baseline or strategy is unknown.
    """
    unknown = [name for name in baselines if name not in BASELINES]
    unknown_strategies = [name for name in strategies if name not in STRATEGIES]
    if unknown or unknown_strategies:
        what, known = ("baseline", BASELINES) if unknown else ("strategy", STRATEGIES)
        name = (unknown or unknown_strategies)[0]
        raise UnknownNetwork(f"there is no {what} named {name!r}; choose one of: {', '.join(known)}")
    chosen: list[BacktestForecaster] = []
    for strategy in (name for name in STRATEGIES if name in strategies):
        if strategy != RECURSIVE:
            chosen += [BaselineForecaster(name, Strategy(strategy)) for name in baselines]
        for config in configs:
            network_info(config.forecaster)
            if is_spatiotemporal(config.forecaster) and strategy == RECURSIVE:
                continue  # the path of one symbol gives no image of the market
            one_step = NetworkBacktestForecaster(replace(config, strategy=Strategy.ONE_STEP), device)
            if strategy == RECURSIVE:
                chosen.append(RecursiveBacktestForecaster(one_step))
            else:
                chosen.append(NetworkBacktestForecaster(replace(config, strategy=Strategy(strategy)), device))
    return tuple(chosen)


def _served_windows(
    forecaster: NetworkForecaster, panel: Panel, first: np.datetime64, last: np.datetime64
) -> PooledWindows:
    """Return the windows with as_of between two dates, of symbols with the bars that serving requires."""
    windows = forecaster.pipeline.windows(panel, require_targets=False, min_bars=MIN_HISTORY_NETWORK)
    return between(windows, first, last)
