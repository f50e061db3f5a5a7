"""The gate in front of serving: whether a recipe has earned its place, and whether a refit may keep it.

A *recipe* (network, inputs, loss, span) is judged on walk-forward folds and on what its versions earned live,
beside the random walk. A refit of an accepted recipe only has to be no worse, within a margin, than the version it
follows on sessions that neither was fitted or stopped on. Who asks often gets lucky, so each further asking has to
reach a lower p, and the levels of all askings together stay below `ALPHA`.
"""

from dataclasses import dataclass

import numpy as np

from models.metrics.significance import Comparison, diebold_mariano
from models.preprocessing.frame import DateArray, FloatArray

ALPHA = 0.05
"""Chance that a recipe without any skill is ever accepted, over all askings of a group and strategy."""

MIN_SESSIONS = 250
"""Distinct as_of sessions of evidence below which a recipe is not judged."""

ASK_EVERY = 63
"""Sessions of new evidence between two askings of one recipe in a group and strategy (a quarter of a year)."""

MARGIN = 0.01
"""Share by which a refit's pinball may exceed that of the version it follows."""

MIN_LIVE_SESSIONS = 126
"""Live sessions from which a recipe that loses to the random walk is sent back (half a year)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a recipe and the random walk lost, day by day, on forecasts made before the outcome was known.

    Attributes:
        days: `(n,)` distinct as_of sessions, ascending.
        loss: `(n,)` pinball of the recipe, mean over symbols and steps of the day, basis points.
        walk: `(n,)` as `loss`, the random walk's on the same symbols and steps.
        horizon: Steps of the forecasts, 1 or 3: neighbouring days overlap by that much.
    """

    days: DateArray
    loss: FloatArray
    walk: FloatArray
    horizon: int

    def __len__(self) -> int:
        return len(self.days)

    def with_later(self, later: "Evidence") -> "Evidence":
        """Both together; on a day that is in both, the later source counts: live before folds."""
        kept = ~np.isin(self.days, later.days)
        order = np.argsort(np.concatenate([self.days[kept], later.days]))
        return Evidence(
            np.concatenate([self.days[kept], later.days])[order],
            np.concatenate([self.loss[kept], later.loss])[order],
            np.concatenate([self.walk[kept], later.walk])[order],
            self.horizon,
        )

    def to_dict(self) -> dict[str, object]:
        """Plain JSON-able form, so that a judgement can be made again from what is stored."""
        return {
            "days": [str(day) for day in self.days],
            "loss": self.loss.tolist(),
            "walk": self.walk.tolist(),
            "horizon": self.horizon,
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer of one asking.

    Attributes:
        accepted: Whether the recipe may serve.
        sessions: Distinct as_of sessions judged.
        pinball: The recipe's, mean over the days, basis points.
        random_walk_pinball: As `pinball`.
        p: One-sided p that the recipe is no better than the random walk; None where sessions are too few.
        level: What p had to reach.
        reason: The sentence that says why, with the figures.
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
        """1 less the ratio of the two losses."""
        return 1.0 - self.pinball / self.random_walk_pinball


def daily_evidence(days: DateArray, loss: FloatArray, walk: FloatArray, horizon: int) -> Evidence:
    """Average losses per day: symbols of a day move together and are one observation.

    Args:
        days: `(rows,)` as_of session of each loss, any order.
        loss: `(rows,)` the recipe's pinball, basis points; rows with a NaN on either side are left out.
        walk: `(rows,)` the random walk's.
        horizon: Steps of the forecasts.
    """
    known = ~(np.isnan(loss) | np.isnan(walk))
    distinct, position = np.unique(days[known].astype("datetime64[D]"), return_inverse=True)
    count = np.bincount(position, minlength=len(distinct))
    own, other = (np.bincount(position, each[known], len(distinct)) / np.maximum(count, 1) for each in (loss, walk))
    return Evidence(distinct, own, other, horizon)


def level_of(attempt: int) -> float:
    """One-sided level that the k-th asking of a group and strategy must reach: `ALPHA / (k (k + 1))`.

    The levels sum to `ALPHA` however often is asked, so (by the union bound) a recipe without skill is accepted
    with a chance of `ALPHA` at most in the life of a group.

    Args:
        asking: 1 for the first.
    """
    return ALPHA / (attempt * (attempt + 1))


def judge_config(evidence: Evidence, attempt: int) -> Judgement:
    """Whether a recipe beats the random walk with significance.

    Diebold-Mariano with the Harvey-Leybourne-Newbold correction on daily means (`models.metrics.significance`),
    one-sided.

    Args:
        evidence: Walk-forward folds, and live scores where there are any.
        asking: How often this group and strategy has been judged, this time included.
    """
    level, n = level_of(attempt), len(evidence)
    own, walk = (float(each.mean()) if n else float("nan") for each in (evidence.loss, evidence.walk))
    if n < MIN_SESSIONS:
        reason = f"{n} sessions of evidence; a recipe is judged on {MIN_SESSIONS} or more"
        return Judgement(False, n, own, walk, None, level, reason)
    p = _one_sided(diebold_mariano(evidence.days, evidence.loss, evidence.walk, evidence.horizon))
    accepted = p <= level
    verb = "beats" if accepted else "does not beat"
    reason = (
        f"the recipe {verb} the random walk over {n} sessions: pinball {own:.2f} against {walk:.2f} bp, "
        f"{_p_text(p)} (limit {level:.3g}, attempt {attempt})"
    )
    return Judgement(accepted, n, own, walk, p, level, reason)


def loses_live(live: Evidence) -> str | None:
    """The sentence that sends an accepted recipe back, or None while it may stay.

    Args:
        live: Live scores of the recipe's versions alone.
    """
    if len(live) < MIN_LIVE_SESSIONS:
        return None
    test = diebold_mariano(live.days, live.walk, live.loss, live.horizon)
    p = _one_sided(test)
    if p > ALPHA:
        return None
    return (
        f"the recipe lost to the random walk over {len(live)} live sessions: "
        f"pinball {live.loss.mean():.2f} against {live.walk.mean():.2f} bp, {_p_text(p)}"
    )


def judge_refit(pinball: float, incumbent: float, n: int) -> tuple[bool, str]:
    """Whether a routine refit of an accepted recipe may take over.

    Args:
        pinball: The refit's, basis points, on forecasts that neither version was fitted or stopped on.
        incumbent: That of the version it follows, on the same forecasts.
        n: Number of those forecasts.

    Returns:
        The answer, and the sentence that says why.
    """
    if n == 0:
        return False, "no session that neither version was fitted or stopped on"
    passes = pinball <= incumbent * (1 + MARGIN)
    relation = "within" if passes else "beyond"
    sentence = (
        f"pinball {pinball:.2f} bp on {n} forecasts unseen by both is {relation} {MARGIN:.0%} "
        f"of its predecessor's {incumbent:.2f} bp"
    )
    return passes, sentence


def _one_sided(test: Comparison) -> float:
    """P under the hypothesis that the first forecaster is no better."""
    return test.p / 2 if test.statistic < 0 else 1 - test.p / 2


def _p_text(p: float) -> str:
    return f"p = {p:.4f}" if p >= 0.0001 else "p < 0.0001"
