"""Rows of the table of forecasts: one for each step of each forecast of an answer."""

from collections.abc import Iterable, Iterator
from typing import Any

from service.api.forecasts.build_answer import INTERVALS
from service.api.forecasts.schemas import ForecastAnswer, OtherForecast, Quantiles, Step, StrategyForecast
from service.api.formats.table import Column

COLUMNS = (
    Column("symbol", "text"),
    Column("currency", "text"),
    Column("calendar", "text"),
    Column("as_of", "date"),
    Column("issued_at", "instant"),
    Column("stale_after", "instant"),
    Column("mode", "text"),
    Column("edition", "integer"),
    Column("strategy", "text"),
    Column("forecaster", "text"),
    Column("model_version_id", "integer"),
    Column("served", "truth"),
    Column("step", "integer"),
    Column("target_session", "date"),
    Column("basis", "integer"),
    Column("last_close", "float"),
    Column("point", "float"),
    *(Column(f"{side}_{level}", "float") for level, _, _ in INTERVALS for side in ("lower", "upper")),
    *(Column(name, "float") for name in Quantiles.model_fields),
    Column("dividends", "float"),
    Column("skill", "float"),
    Column("skill_n", "integer"),
    Column("coverage_50", "float"),
    Column("coverage_80", "float"),
    Column("coverage_95", "float"),
    Column("coverage_n", "integer"),
)
"""Columns of the table: names as in the JSON answer, `lower_80` for the lower bound of the level 80 and so on."""


_COVERAGES = [f"coverage_{level}" for level, _, _ in INTERVALS]


def build_rows(answers: Iterable[ForecastAnswer]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of forecasts in the order of `COLUMNS`: served ones first, then the random walk and others."""
    for answer in answers:
        served = {"multi_step": answer.multi_step, "one_step": answer.one_step}
        for strategy, part in served.items():
            if part is not None:
                yield from _part_rows(answer, strategy, part)
        walk = () if answer.random_walk is None else (answer.random_walk,)
        for other in (*walk, *answer.others):
            published = served[other.strategy]
            if published is None or published.served_by.model_version_id != other.model_version_id:
                yield from _part_rows(answer, other.strategy, other)


def _part_rows(
    answer: ForecastAnswer, strategy: str, part: StrategyForecast | OtherForecast
) -> Iterator[tuple[Any, ...]]:
    version = part.served_by if isinstance(part, StrategyForecast) else part
    common = {
        **{name: getattr(answer, name) for name in ("symbol", "currency", "calendar", "as_of", "issued_at")},
        **{name: getattr(answer, name) for name in ("stale_after", "mode", "last_close")},
        "edition": answer.edition.number,
        "basis": answer.basis.forecast,
        "strategy": strategy,
        "forecaster": version.forecaster,
        "model_version_id": version.model_version_id,
        "served": isinstance(part, StrategyForecast),
    }
    for step in part.steps:
        fields = {**common, **_step_fields(step)}
        yield tuple(fields[column.name] for column in COLUMNS)


def _step_fields(step: Step) -> dict[str, Any]:
    return {
        **dict.fromkeys(_COVERAGES),  # missing without a scored session
        **{name: getattr(step, name) for name in ("step", "target_session", "point", "dividends")},
        **step.quantiles.model_dump(),
        **{f"lower_{interval.level}": interval.lower for interval in step.intervals},
        **{f"upper_{interval.level}": interval.upper for interval in step.intervals},
        **{f"coverage_{each.level}": each.measured for each in step.coverage.levels},
        "skill": step.skill.value,
        "skill_n": step.skill.n,
        "coverage_n": step.coverage.n,
    }
