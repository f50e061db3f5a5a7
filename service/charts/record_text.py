"""Texts about track records, equally plain about better and worse results."""

from service.api.common.schemas import Mode
from service.api.forecasts.schemas import MIN_SESSIONS, Coverage, Skill, Step
from service.charts.chart import SIGNIFICANT, not_enough_history
from service.charts.numbers import change_text, percent
from service.vocabulary import RANDOM_WALK


def measured(coverage: Coverage, level: int) -> float | None:
    """Return the measured share of a level; None under `MIN_SESSIONS` sessions."""
    if coverage.n < MIN_SESSIONS:
        return None
    return next((item.measured for item in coverage.levels if item.level == level), None)


def coverage_sentence(step: Step, level: int) -> str:
    """Return the measured coverage of a step's interval as a sentence; also if there is not enough history yet."""
    share = measured(step.coverage, level)
    if share is None:
        return not_enough_history(step.coverage.n)
    until = "" if step.skill.as_of is None else f" up to {step.skill.as_of}"
    return (
        f"The {level} % interval of {step.label} contained the close on {percent(share)} % of sessions "
        f"(measured on n = {step.coverage.n}{until})."
    )


def better_or_worse(skill: float, is_significant: bool) -> str:
    """Return skill against the random walk in words.

    `1.4 % better` and `1.4 % worse` if it is significant; else the number, above 0 is better:
    `+1.4 %`, `−1.4 %`; below rounding `no better (0.0 %)`.
    """
    text = change_text(skill)
    if text == "0.0 %":
        return "no better (0.0 %)"
    return (
        f"{change_text(abs(skill)).removeprefix('+')} {'better' if skill > 0 else 'worse'}" if is_significant else text
    )


def skill_sentence(skill: Skill, served_by: str) -> str:
    """Return the skill of published forecasts against the random walk; empty with too few scores."""
    if skill.value is None or skill.n < MIN_SESSIONS:
        return ""
    is_walk = served_by == RANDOM_WALK
    if is_walk and abs(skill.value) < 0.0005:
        return "The published forecast is the random walk itself."
    own = "The random walk made this forecast. " if is_walk else ""
    if skill.p is not None and skill.p < SIGNIFICANT and change_text(skill.value) != "0.0 %":
        words = better_or_worse(skill.value, is_significant=True)
        return f"{own}By pinball loss, published forecasts were {words} than the random walk (n = {skill.n})."
    return (
        f"{own}By pinball loss, the skill of published forecasts vs the random walk was "
        f"{change_text(skill.value)} (n = {skill.n}; not significant)."
    )


def mode_sentence(mode: Mode) -> str:
    """Return the mode of the forecasts of a track record."""
    return f"Measured on {mode} forecasts."
