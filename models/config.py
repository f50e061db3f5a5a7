"""What is forecast and how: the constants and frozen specifications every part shares."""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum

QUANTILES: tuple[float, ...] = (0.025, 0.10, 0.25, 0.50, 0.75, 0.90, 0.975)
"""Probability levels of every stored forecast, ascending; the median is the point forecast."""

MULTI_STEP_HORIZON = 3
"""Steps of the multi-step strategy: T, T+1, T+2."""

MEMORY = 245
"""Sessions that volatilities and the core inputs may look back on, itself included."""

INPUT_MEMORY = 305
"""Sessions that any input may look back on, itself included; the extended inputs reach back a year and 40 sessions.

Inputs have a finite memory so that a forecast needs only the newest `INPUT_MEMORY + lookback` sessions
and still equals, to rounding, what the whole history would give.
"""

INPUTS_REVISION = 1
"""Raised when inputs of the same name come to mean something else: such a recipe has to earn its place again."""

MAX_LOOKBACK = 60
"""Longest window a recipe may ask for, in sessions."""

MIN_HISTORY_NETWORK = 250
"""Bars a symbol must have before a network forecasts it."""

MIN_HISTORY_RANDOM_WALK = 60
"""Bars a symbol must have before the random walk forecasts it."""

MIN_TRAINING_DATES = 1_000
"""Distinct as_of dates, pooled over a group's symbols, below which no network is trained."""

PURGE = MULTI_STEP_HORIZON
"""Sessions left out between the fit, stop and judge spans, so that no target reaches across a cut."""

VALIDATION_SESSIONS = 63
"""Sessions of the early-stopping span (a quarter of a year): enough to choose an epoch by, little lost."""

TEST_SESSIONS = 252
"""Sessions of the judging span (a year)."""


class Strategy(StrEnum):
    """How many steps one forecast covers."""

    ONE_STEP = "one_step"
    MULTI_STEP = "multi_step"

    @property
    def horizon(self) -> int:
        """Steps forecast at once: 1 (T) or 3 (T, T+1, T+2)."""
        return 1 if self is Strategy.ONE_STEP else MULTI_STEP_HORIZON


class ReferenceRole(StrEnum):
    """What a reference series stands for among the inputs."""

    MARKET = "market"
    VOLATILITY = "volatility"


class Inputs(StrEnum):
    """Which inputs a network gets."""

    CORE = "core"
    EXTENDED = "extended"


class Weighting(StrEnum):
    """What a training window's loss counts, in units of the scaled targets."""

    SIGMA = "sigma"
    EVEN = "even"


class Schedule(StrEnum):
    """How the learning rate falls: halved after an epoch without a better stop-span loss, or along a half cosine."""

    PLATEAU = "plateau"
    COSINE = "cosine"


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference series used as an input.

    Attributes:
        symbol: Its Yahoo-style name, for example `SPY`.
        role: `market` (a price index or fund: its return and volatility are inputs) or
            `volatility` (an implied-volatility index: its level is the input).
    """

    symbol: str
    role: ReferenceRole


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """How a forecaster is made, apart from the data: network, inputs, loss, span and seeds.

    Attributes:
        architecture: Registered name, for example `lstm` or `random_walk`.
        strategy: One step or all steps at once.
        lookback: Sessions in a window, 1..60.
        references: Reference series, in input order.
        units: Width of the recurrent layer.
        seeds: Seeds whose forecasts are averaged (quantile by quantile).
        batch_size: Windows in a training step.
        learning_rate: Start rate of AdamW.
        weight_decay: Decoupled weight decay of AdamW.
        max_epochs: Upper bound of epochs.
        patience: Epochs without a better stop-span loss before training ends.
        mask_rate: Chance that a reference series is masked in a training window.
        inputs: Which inputs: `core`, or `extended` by what `models.preprocessing.extended_features` adds.
        weighting: What a window's loss counts: `sigma` weighs as the score in basis points does, `even` all alike.
        schedule: How the learning rate falls; `cosine` reaches 0 after `max_epochs`.
        median_share: Share of the network's way from the training targets' median that a forecast's median takes, 0..1;
            all quantiles move with it. Little is learned slowly: medians are easily learned by heart.
    """

    forecaster: str
    strategy: Strategy
    lookback: int = 5
    references: tuple[Reference, ...] = ()
    units: int = 48
    seeds: tuple[int, ...] = (0, 1, 2)
    batch_size: int = 1024
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    max_epochs: int = 20
    patience: int = 3
    mask_rate: float = 0.05
    inputs: Inputs = Inputs.CORE
    weighting: Weighting = Weighting.SIGMA
    schedule: Schedule = Schedule.PLATEAU
    median_share: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.lookback <= MAX_LOOKBACK:
            raise ValueError(
                f"lookback must be 1..{MAX_LOOKBACK} sessions, received {self.lookback}; "
                "set TPLUS_LOOKBACK in that range"
            )
        if not self.seeds:
            raise ValueError("at least one seed is needed; received none")
        if not 0 <= self.median_share <= 1:
            raise ValueError(f"median_share must be 0..1, received {self.median_share}; 1 keeps the trained median")

    @property
    def horizon(self) -> int:
        """Steps forecast: 1 or 3."""
        return self.strategy.horizon

    def to_dict(self) -> dict[str, object]:
        """Plain JSON-able form, the one that is hashed and stored."""
        return {
            **asdict(self),
            "strategy": self.strategy.value,
            "inputs": self.inputs.value,
            "weighting": self.weighting.value,
            "schedule": self.schedule.value,
            "references": [[r.symbol, r.role.value] for r in self.references],
        }

    @staticmethod
    def from_dict(data: dict[str, object]) -> "ModelConfig":
        """Rebuild a recipe from `to_dict`."""
        values: dict[str, object] = dict(data)
        values["strategy"] = Strategy(str(values["strategy"]))
        values["inputs"] = Inputs(str(values.get("inputs", Inputs.CORE)))
        values["weighting"] = Weighting(str(values.get("weighting", Weighting.SIGMA)))
        values["schedule"] = Schedule(str(values.get("schedule", Schedule.PLATEAU)))
        references: list[list[str]] = values["references"]  # type: ignore[assignment]
        seeds: list[int] = values["seeds"]  # type: ignore[assignment]
        values["references"] = tuple(Reference(symbol, ReferenceRole(role)) for symbol, role in references)
        values["seeds"] = tuple(int(seed) for seed in seeds)
        return ModelConfig(**values)  # type: ignore[arg-type]

    def hash(self) -> str:
        """SHA-256 over the sorted JSON form and `INPUTS_REVISION`: equal recipes, equal hash."""
        document = {**self.to_dict(), "inputs_revision": INPUTS_REVISION}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
