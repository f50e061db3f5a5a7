"""The parameter `fields`: what is chosen, and what is refused."""

import pytest

from service.api.common.errors import BadParameter
from service.api.forecasts.schemas import ForecastAnswer
from service.api.formats.fields import choose_fields, json_fields


def test_parts_of_parts_and_of_lists_are_chosen() -> None:
    text = "symbol,multi_step.steps.point,multi_step.skill.value,multi_step.steps.step"
    assert choose_fields(ForecastAnswer, text) == {
        "symbol": True,
        "multi_step": {"steps": {"__all__": {"point": True, "step": True}}, "skill": {"value": True}},
    }


def test_a_whole_part_contains_its_parts_in_either_order() -> None:
    assert choose_fields(ForecastAnswer, "edition,edition.hash") == {"edition": True}
    assert choose_fields(ForecastAnswer, "edition.hash,edition") == {"edition": True}


@pytest.mark.parametrize(
    "text", ["", "symbol,", "none", "symbol.none", "multi_step.steps.none", "__all__", "model_fields", "symbol,SYMBOL"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="fields"):
        choose_fields(ForecastAnswer, text)


def test_too_many_and_tables_are_refused() -> None:
    with pytest.raises(BadParameter, match="at most 50"):
        choose_fields(ForecastAnswer, ",".join(["symbol"] * 51))
    with pytest.raises(BadParameter, match="table"):
        json_fields(ForecastAnswer, "symbol", "csv")
