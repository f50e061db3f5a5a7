"""Constants and frozen configurations that all parts of `models` share."""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum

QUANTILES: tuple[float, ...] = (0.025, 0.10, 0.25, 0.50, 0.75, 0.90, 0.975)
"""Probability levels of every stored forecast, ascending; the median is the point forecast."""

MEDIAN = QUANTILES.index(0.50)
"""Position of the median among the quantiles."""

INTERVAL_LEVELS: tuple[float, ...] = (0.50, 0.80, 0.95)
"""Nominal levels of the central intervals that the quantiles bound, innermost first."""

INTERVAL_BOUNDS: dict[float, tuple[int, int]] = {0.50: (2, 4), 0.80: (1, 5), 0.95: (0, 6)}
"""Per level of `INTERVAL_LEVELS`, the positions of its lower and upper quantile."""

MULTI_STEP_HORIZON = 3
"""Steps of the multi-step strategy: T, T+1, T+2."""

MEMORY = 245
"""Sessions that volatilities and the core inputs may use, the current one included."""

INPUT_MEMORY = 305
"""Sessions that any input may use, the current one included; the extended inputs use a year and 40 sessions.

Inputs have a finite memory so that a forecast needs only the newest `INPUT_MEMORY + lookback` sessions
and still equals, to rounding, the forecast from the whole history.
"""

INPUTS_REVISION = 1
"""Raised when the meaning of an input changes under the same name: such a model config needs a new approval."""

MAX_LOOKBACK = 60
"""Longest window of a model config, in sessions."""

MIN_HISTORY_NETWORK = 250
"""Bars that a symbol must have before a network forecasts it."""

MIN_HISTORY_RANDOM_WALK = 60
"""Bars that a symbol must have before the random walk forecasts it."""

MIN_TRAINING_DATES = 1_000
"""Distinct as_of dates, pooled over a group's symbols, below which no network is trained."""

PURGE = MULTI_STEP_HORIZON
"""Sessions left out between the train, validation and test spans, so that no target reaches across a cut."""

VALIDATION_SESSIONS = 63
"""Sessions of the validation span (a quarter of a year): enough to choose an epoch, and few are lost to training."""

TEST_SESSIONS = 252
"""Sessions of the test span (a year)."""


class Strategy(StrEnum):
    """Number of steps that one forecast covers."""

    ONE_STEP = "one_step"
    MULTI_STEP = "multi_step"

    @property
    def horizon(self) -> int:
        """Number of steps of one forecast: 1 (T) or 3 (T, T+1, T+2)."""
        return 1 if self is Strategy.ONE_STEP else MULTI_STEP_HORIZON


class ReferenceRole(StrEnum):
    """Role of a reference series among the inputs."""

    MARKET = "market"
    VOLATILITY = "volatility"


class Inputs(StrEnum):
    """Set of inputs that a network reads."""

    CORE = "core"
    EXTENDED = "extended"


class Weighting(StrEnum):
    """Weight of a training window's loss, in units of the scaled targets."""

    SIGMA = "sigma"
    EVEN = "even"


class Schedule(StrEnum):
    """Learning-rate schedule: halved after an epoch without a better validation loss, or along a half cosine."""

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
    """Configuration of a forecaster, apart from the data: network, inputs, loss and seeds.

    Attributes:
        forecaster: Registered name, for example `lstm` or `random_walk`.
        strategy: `one_step`, or `multi_step` for all steps in one forecast.
        lookback: Sessions in a window, 1..60.
        references: Reference series, in input order.
        units: Width of the recurrent layer.
        seeds: Seeds whose forecasts are averaged (quantile by quantile).
        batch_size: Windows in a training step.
        learning_rate: Start rate of AdamW.
        weight_decay: Decoupled weight decay of AdamW.
        max_epochs: Upper bound of epochs.
        patience: Epochs without a better validation loss before training ends.
        mask_rate: Probability that a reference series is masked in a training window.
        inputs: Set of inputs: `core`, or `extended` with those that `models.preprocessing.extended_features` adds.
        weighting: Weight of a window's loss: `sigma` weights as the score in basis points does, `even` weights all
            windows equally.
        schedule: Learning-rate schedule; `cosine` reaches 0 after `max_epochs`.
        median_share: Share, 0..1, of the distance from the training targets' median to the network's median that the
            forecast's median moves; all quantiles move with it. A small share regularises: networks easily overfit
            medians.
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
            raise ValueError("seeds must hold at least one seed, received none; add one")
        if not 0 <= self.median_share <= 1:
            raise ValueError(f"median_share must be 0..1, received {self.median_share}; 1 keeps the trained median")

    @property
    def horizon(self) -> int:
        """Number of steps forecast: 1 or 3."""
        return self.strategy.horizon

    def to_dict(self) -> dict[str, object]:
        """Return the JSON-serialisable form that is hashed and stored."""
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
        """Build a config from the form of `to_dict`."""
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
        """Return the SHA-256 of the sorted JSON form and `INPUTS_REVISION`; equal configs have equal hashes."""
        document = {**self.to_dict(), "inputs_revision": INPUTS_REVISION}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
