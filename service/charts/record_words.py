"""What a track record says, in words that are as plain about losing as about winning."""

from service.api.schemas.forecasts import Coverage, Skill, Step
from service.charts.chart import MIN_SESSIONS, too_little


def measured(coverage: Coverage, level: int) -> float | None:
    """The measured share of a level; None under the least number of sessions."""
    if coverage.n < MIN_SESSIONS:
        return None
    return next((held.measured for held in coverage.levels if held.level == level), None)


def held_sentence(step: Step, level: int) -> str:
    """How often the interval of a step held the close, or that there is too little record yet."""
    share = measured(step.coverage, level)
    if share is None:
        return too_little(step.coverage.n)
    until = "" if step.skill.as_of is None else f" up to {step.skill.as_of}"
    return (
        f"On {100 * share:.0f} of 100 such days the close of {step.label} has been inside the {level} % interval "
        f"(measured on n = {step.coverage.n}{until})."
    )


def better_or_worse(skill: float) -> str:
    """Skill against the random walk in words: `1.4 % better`, `1.4 % worse`, `no better (0.0 %)`."""
    text = f"{100 * abs(skill):.1f} %"
    if text == "0.0 %":
        return "no better (0.0 %)"
    return f"{text} {'better' if skill > 0 else 'worse'}"


def skill_sentence(skill: Skill, served_by: str) -> str:
    """How the served forecasts did beside the random walk; empty where too few are scored to say."""
    if skill.value is None or skill.n < MIN_SESSIONS:
        return ""
    if served_by == "random_walk" and abs(skill.value) < 0.0005:
        return "What was served is the random walk itself."
    compared = better_or_worse(skill.value)
    return f"By pinball loss, what was served has been {compared} than the random walk (n = {skill.n})."
