"""The forecasters that may take part by name: networks in three strategies, and the baselines in two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.backtest.folds import Fold, fold_spans
from models.backtest.protocols import (
    RECURSIVE,
    BacktestForecaster,
    ForecastHistory,
    Serving,
    Tell,
    between,
    history_of,
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
from models.networks.registry import is_spatiotemporal, selectable
from models.preprocessing.frame import FloatArray, Panel, PriceHistory
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.windows import PooledWindows
from models.training.fit import fit_config
from models.training.fit_network import EpochEnd
from models.training.spatiotemporal.fit_network import FittedSpatiotemporalNetwork

BASELINES = (RANDOM_WALK, DRIFT, HISTORICAL, GARCH)
"""Baselines by name; `linear`, the fifth, is a network of one layer and trained as one."""

STRATEGIES = (Strategy.ONE_STEP.value, Strategy.MULTI_STEP.value, RECURSIVE)
"""Every strategy, in the order in which a fold works: the recursive one uses the one-step fit again."""


@dataclass(frozen=True, slots=True)
class FittedNetworkForecaster(Serving[NetworkForecaster]):
    """A trained network, asked for many windows at once.

    Attributes:
        facts: Figures of its training.
    """

    facts: Mapping[str, Any]

    def history(self, panel: Panel, first: np.datetime64, last: np.datetime64) -> ForecastHistory:
        """See `contract.FittedForecaster`."""
        windows = _served_windows(self.forecaster, panel, first, last)
        history = history_of(windows, self.forecaster.quantiles(windows))
        seeds: dict[int, FloatArray] = {}
        if len(self.config.seeds) > 1:
            seeds = dict(zip(self.config.seeds, self.forecaster.seed_quantiles(windows), strict=True))
        return replace(history, facts=self.facts, seeds=seeds)


@dataclass(frozen=True, slots=True)
class FittedRecursiveForecaster(Serving[RecursiveForecaster]):
    """A trained one-step network applied recursively."""

    def history(self, panel: Panel, first: np.datetime64, last: np.datetime64) -> ForecastHistory:
        """See `contract.FittedForecaster`; rows whose paths have no window are left out."""
        windows = _served_windows(self.forecaster.one_step, panel, first, last)
        three = cut_windows(
            panel,
            replace(self.config, strategy=Strategy.MULTI_STEP),
            require_targets=False,
            min_bars=MIN_HISTORY_NETWORK,
        )
        # The same rows as the one-step pipeline cuts, with the targets of all three steps.
        raw = self.forecaster.quantiles(panel, windows)
        known = np.flatnonzero(~np.isnan(raw).any(axis=(1, 2)))
        return history_of(between(three, first, last).select(known), raw[known])


@dataclass(frozen=True, slots=True)
class FittedBaselineForecaster(Serving[RowForecaster]):
    """A fitted baseline, asked for many rows at once."""

    def history(self, panel: Panel, first: np.datetime64, last: np.datetime64) -> ForecastHistory:
        """See `contract.FittedForecaster`; rows the baseline has no forecast for are left out."""
        rows = between(sigma_rows(panel, self.config.horizon), first, last)
        raw = self.forecaster.over(panel, rows)
        known = np.flatnonzero(~np.isnan(raw).any(axis=(1, 2)))
        history = history_of(rows.select(known), raw[known])
        refusals = self.forecaster.refusals if isinstance(self.forecaster, Garch) else ()
        return replace(history, refusals=refusals)


@dataclass(frozen=True, slots=True)
class NetworkBacktestForecaster:
    """A network of a recipe.

    Attributes:
        recipe: NetworkDefinition, strategy, lookback, inputs, sizes and seeds.
    """

    config: ModelConfig

    @property
    def name(self) -> str:
        """The architecture's name."""
        return self.config.forecaster

    @property
    def strategy(self) -> str:
        """The recipe's strategy."""
        return self.config.strategy.value

    @property
    def lookback(self) -> int:
        """Sessions in a window."""
        return self.config.lookback

    def identity(self) -> Mapping[str, Any]:
        """The recipe."""
        return self.config.to_dict()

    def fit(self, panel: Panel, fold: Fold, tell: Tell) -> FittedNetworkForecaster | FittedSpatiotemporalForecaster:
        """Train every seed on the fold's fit span, each stopped on its stop span."""
        spans = fold_spans(cut_windows(panel, self.config, require_targets=True), fold)
        seeds = list(self.config.seeds)

        def report(epoch: EpochEnd) -> None:
            done = 1.0 if epoch.last else epoch.epoch / self.config.max_epochs
            tell((seeds.index(epoch.seed) + done) / len(seeds))

        fitted = fit_config(panel, self.config, spans, report)
        facts = {"val_loss": list(fitted.val_losses), "epochs": list(fitted.epochs)}
        if isinstance(fitted, FittedSpatiotemporalNetwork):
            return FittedSpatiotemporalForecaster(fitted.forecaster, facts)
        return FittedNetworkForecaster(fitted.forecaster, facts)


@dataclass(frozen=True, slots=True)
class RecursiveBacktestForecaster:
    """A one-step network applied recursively.

    Attributes:
        one_step: The network; a fold that has fitted it already hands it on.
        paths: Paths drawn for each forecast.
    """

    one_step: NetworkBacktestForecaster
    paths: int = PATHS

    @property
    def name(self) -> str:
        """The architecture's name."""
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
        """The one-step recipe and how paths are drawn."""
        return {"one_step": self.one_step.identity(), "paths": self.paths, "seed": SEED}

    def fit(self, panel: Panel, fold: Fold, tell: Tell) -> FittedRecursiveForecaster:
        """Fit the one-step network."""
        fitted = self.one_step.fit(panel, fold, tell)
        assert isinstance(fitted, FittedNetworkForecaster)  # `forecasters_of` makes none over market frames
        return self.over(fitted)

    def over(self, one_step: FittedNetworkForecaster) -> FittedRecursiveForecaster:
        """The same from a one-step network that is fitted already."""
        return FittedRecursiveForecaster(RecursiveForecaster(one_step.forecaster, self.paths))


@dataclass(frozen=True, slots=True)
class BaselineForecaster:
    """A baseline of `BASELINES`.

    The random walk and the drift are fitted on the fold's fit span, as the service fits them; historical quantiles
    roll on by themselves; garch is estimated on everything before the fold, for it stops on nothing.

    Attributes:
        name: Which.
        horizon_of: The strategy: how many steps.
    """

    name: str
    horizon_of: Strategy

    @property
    def strategy(self) -> str:
        """The strategy's name."""
        return self.horizon_of.value

    @property
    def lookback(self) -> int:
        """1: a baseline has no windows."""
        return 1

    def identity(self) -> Mapping[str, Any]:
        """Name and strategy."""
        return {"baseline": self.name, "strategy": self.strategy}

    def fit(self, panel: Panel, fold: Fold, tell: Tell) -> FittedBaselineForecaster:  # noqa: ARG002 - the contract's form
        """Fit it; nothing is told in between."""
        return FittedBaselineForecaster(self._fitted(panel, fold))

    def _fitted(self, panel: Panel, fold: Fold) -> RowForecaster:
        if self.name == RANDOM_WALK:
            return WalkRows(fit_random_walk(panel, random_walk_config(self.horizon_of), fold.train_until))
        if self.name == DRIFT:
            return fit_drift(panel, self.horizon_of, fold.train_until)
        if self.name == HISTORICAL:
            return historical(self.horizon_of)
        return fit_garch(panel, self.horizon_of, fold.cut_at)


@dataclass(frozen=True, slots=True)
class WalkRows:
    """The random walk asked for rows.

    Attributes:
        walk: What serves.
    """

    walk: RandomWalk

    @property
    def config(self) -> ModelConfig:
        """Its strategy gives the horizon."""
        return self.walk.config

    def over(self, panel: Panel, rows: PooledWindows) -> FloatArray:  # noqa: ARG002 - the interface's form
        """Every row with a sigma is forecast from it alone."""
        return self.walk.at(rows.sigma)

    def forecast(self, panel: Panel) -> ForecastBatch:
        """See `forecast.Forecaster`."""
        return self.walk.forecast(panel)

    def reason_against(self, frame: PriceHistory) -> str:
        """Every row with a sigma is forecast."""
        return no_sigma(frame)


def forecasters_of(
    configs: Sequence[ModelConfig], baselines: Sequence[str], strategies: Sequence[str]
) -> tuple[BacktestForecaster, ...]:
    """Every forecaster asked for, the one-step ones first.

    Args:
        recipes: Networks; their own strategy does not count, they are made in every strategy asked for.
        baselines: Names of `BASELINES`; made in `one_step` and `multi_step` where asked for.
        strategies: Names of `STRATEGIES`; networks over market frames are never made recursive.

    Raises:
        UnknownNetwork: There is no network, baseline or strategy of a name.
    """
    unknown = [name for name in baselines if name not in BASELINES]
    odd = [name for name in strategies if name not in STRATEGIES]
    if unknown or odd:
        known = BASELINES if unknown else STRATEGIES
        what = "baseline" if unknown else "strategy"
        raise UnknownNetwork(f"there is no {what} named {(unknown or odd)[0]!r}; choose one of: {', '.join(known)}")
    chosen: list[BacktestForecaster] = []
    for strategy in (name for name in STRATEGIES if name in strategies):
        if strategy != RECURSIVE:
            chosen += [BaselineForecaster(name, Strategy(strategy)) for name in baselines]
        for config in configs:
            selectable(config.forecaster)
            if is_spatiotemporal(config.forecaster) and strategy == RECURSIVE:
                continue  # a path of one symbol makes no frame of the market
            one_step = NetworkBacktestForecaster(replace(config, strategy=Strategy.ONE_STEP))
            if strategy == RECURSIVE:
                chosen.append(RecursiveBacktestForecaster(one_step))
            else:
                chosen.append(NetworkBacktestForecaster(replace(config, strategy=Strategy(strategy))))
    return tuple(chosen)


def _served_windows(
    forecaster: NetworkForecaster, panel: Panel, first: np.datetime64, last: np.datetime64
) -> PooledWindows:
    """Windows with as_of between two dates of the symbols that have the bars which serving asks for."""
    windows = forecaster.pipeline.windows(panel, require_targets=False, min_bars=MIN_HISTORY_NETWORK)
    return between(windows, first, last)
