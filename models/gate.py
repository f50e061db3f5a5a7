"""The gate before serving: tests a model config against the random walk, and a refit against its predecessor.

A *model config* (network, inputs, loss, span) is evaluated on walk-forward folds and on the live scores of its
versions, compared with the random walk. A refit of an accepted config only has to be no worse, within a margin, than
its predecessor on sessions that neither was trained or validated on. Repeated tests raise the chance of a false
acceptance, so each further attempt needs a lower p, and the levels of all attempts sum to less than `ALPHA`.
"""

from dataclasses import dataclass

import numpy as np

from models.metrics.significance import Comparison, diebold_mariano
from models.preprocessing.price_history import DateArray, FloatArray

ALPHA = 0.05
"""Probability that a config without skill is ever accepted, over all attempts of a group and strategy."""

MIN_SESSIONS = 250
"""Distinct as_of sessions of evidence below which a config is not tested."""

ATTEMPT_INTERVAL = 63
"""Sessions of new evidence between two attempts of one config in a group and strategy (a quarter of a year)."""

MARGIN = 0.01
"""Share by which a refit's pinball loss may exceed that of its predecessor."""

MIN_LIVE_SESSIONS = 126
"""Live sessions from which a config that loses to the random walk loses its approval (half a year)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Daily losses of a config and of the random walk, on forecasts made before the outcomes were known.

    Attributes:
        days: `(n,)` distinct as_of sessions, ascending.
        loss: `(n,)` pinball loss of the config, mean over symbols and steps of the day, basis points.
        walk: `(n,)` as `loss`, of the random walk on the same symbols and steps.
        horizon: Steps of the forecasts, 1 or 3: the forecasts of that many neighbouring days overlap.
    """

    days: DateArray
    loss: FloatArray
    walk: FloatArray
    horizon: int

    def __len__(self) -> int:
        return len(self.days)

    def with_later(self, later: "Evidence") -> "Evidence":
        """Return both sets of days; on a day that is in both, `later` counts: live scores before folds."""
        kept = ~np.isin(self.days, later.days)
        order = np.argsort(np.concatenate([self.days[kept], later.days]))
        return Evidence(
            np.concatenate([self.days[kept], later.days])[order],
            np.concatenate([self.loss[kept], later.loss])[order],
            np.concatenate([self.walk[kept], later.walk])[order],
            self.horizon,
        )

    def to_dict(self) -> dict[str, object]:
        """Return the JSON-serialisable form, so that a stored test can be repeated."""
        return {
            "days": [str(day) for day in self.days],
            "loss": self.loss.tolist(),
            "walk": self.walk.tolist(),
            "horizon": self.horizon,
        }


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of one attempt.

    Attributes:
        accepted: Whether the config may serve.
        sessions: Distinct as_of sessions of the evidence.
        pinball: Pinball loss of the config, mean over the days, basis points.
        random_walk_pinball: As `pinball`, of the random walk.
        p: One-sided p-value of the hypothesis that the config is no better than the random walk; None where sessions
            are too few.
        level: Significance level, the limit of p.
        reason: One sentence with the reason and the figures.
    """

    accepted: bool
    sessions: int
    pinball: float
    random_walk_pinball: float
    p: float | None
    level: float
    reason: str

    @property
    def skill(self) -> float:
        """1 minus the ratio of the two losses."""
        return 1.0 - self.pinball / self.random_walk_pinball


def daily_evidence(days: DateArray, loss: FloatArray, walk: FloatArray, horizon: int) -> Evidence:
    """Average losses per day, since the symbols of a day move together and are one observation.

    Args:
        days: `(rows,)` as_of session of each loss, any order.
        loss: `(rows,)` pinball loss of the config, basis points; rows with a NaN on either side are left out.
        walk: `(rows,)` as `loss`, of the random walk.
        horizon: Steps of the forecasts.
    """
    known = ~(np.isnan(loss) | np.isnan(walk))
    distinct, position = np.unique(days[known].astype("datetime64[D]"), return_inverse=True)
    count = np.bincount(position, minlength=len(distinct))
    own, other = (np.bincount(position, losses[known], len(distinct)) / np.maximum(count, 1) for losses in (loss, walk))
    return Evidence(distinct, own, other, horizon)


def significance_level(attempt: int) -> float:
    """Return the one-sided level of the k-th attempt of a group and strategy: `ALPHA / (k (k + 1))`.

    The levels sum to `ALPHA` for any number of attempts, so (by the union bound) a config without skill is accepted
    with a probability of at most `ALPHA` in the life of a group.

    Args:
        attempt: 1 for the first.
    """
    return ALPHA / (attempt * (attempt + 1))


def evaluate_config(evidence: Evidence, attempt: int) -> GateResult:
    """Test whether a model config beats the random walk significantly.

    The test is Diebold-Mariano with the Harvey-Leybourne-Newbold correction on daily means
    (`models.metrics.significance`), one-sided.

    Args:
        evidence: Walk-forward folds, and live scores where there are any.
        attempt: Number of attempts of this group and strategy, this one included.
    """
    level, n = significance_level(attempt), len(evidence)
    own, walk = (float(losses.mean()) if n else float("nan") for losses in (evidence.loss, evidence.walk))
    if n < MIN_SESSIONS:
        reason = f"{n} sessions of evidence; the test of a model config needs {MIN_SESSIONS}"
        return GateResult(False, n, own, walk, None, level, reason)
    p = _one_sided(diebold_mariano(evidence.days, evidence.loss, evidence.walk, evidence.horizon))
    accepted = p <= level
    verb = "beats" if accepted else "does not beat"
    reason = (
        f"the model config {verb} the random walk over {n} sessions: pinball {own:.2f} against {walk:.2f} bp, "
        f"{_p_text(p)} (limit {level:.3g}, attempt {attempt})"
    )
    return GateResult(accepted, n, own, walk, p, level, reason)


def live_loss_reason(live: Evidence) -> str | None:
    """Return why an accepted config loses its approval, None while it keeps it.

    Args:
        live: Live scores of the config's versions, without folds.
    """
    if len(live) < MIN_LIVE_SESSIONS:
        return None
    test = diebold_mariano(live.days, live.walk, live.loss, live.horizon)
    p = _one_sided(test)
    if p > ALPHA:
        return None
    return (
        f"the model config lost to the random walk over {len(live)} live sessions: "
        f"pinball {live.loss.mean():.2f} against {live.walk.mean():.2f} bp, {_p_text(p)}"
    )


def evaluate_refit(pinball: float, incumbent: float, n: int) -> tuple[bool, str]:
    """Test whether a routine refit of an accepted config may replace its predecessor.

    Args:
        pinball: Loss of the refit, basis points, on forecasts that neither version was trained or validated on.
        incumbent: Loss of its predecessor on the same forecasts.
        n: Number of those forecasts.

    Returns:
        Whether it passes, and one sentence with the reason.
    """
    if n == 0:
        return False, "there is no session that neither version was trained or validated on"
    passes = pinball <= incumbent * (1 + MARGIN)
    relation = "within" if passes else "beyond"
    sentence = (
        f"pinball {pinball:.2f} bp on {n} forecasts unseen by both is {relation} {MARGIN:.0%} "
        f"of its predecessor's {incumbent:.2f} bp"
    )
    return passes, sentence


def _one_sided(test: Comparison) -> float:
    """Return p under the hypothesis that the first forecaster is no better."""
    return test.p / 2 if test.statistic < 0 else 1 - test.p / 2


def _p_text(p: float) -> str:
    return f"p = {p:.4f}" if p >= 0.0001 else "p < 0.0001"
