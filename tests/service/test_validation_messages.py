"""Messages of validation errors are the service's own, whatever the error."""

from typing import Any

import pytest
from pydantic_core import PydanticKnownError
from pydantic_core._pydantic_core import list_all_errors

from service.errors import SettingsError
from service.settings import load_settings
from service.validation_messages import shown, validation_message


def context_of(error: Any) -> dict[str, Any]:
    return {**(error["example_context"] or {}), "expected": "'a', 'b' or 'c'"}


@pytest.mark.parametrize("error", list_all_errors(), ids=lambda error: error["type"])
def test_no_error_is_told_in_the_words_of_the_library(error: Any) -> None:
    context = context_of(error)
    own = validation_message({"type": error["type"], "ctx": context, "input": "given"})
    if error["type"] in ("value_error", "assertion_error"):
        return  # raised by a check of the service, with its own sentence
    library = PydanticKnownError(error["type"], error["example_context"]).message()
    assert library not in own
    assert not any(word in own for word in ("Input should", "valid string", "parsable", "should be", "Field required"))
    assert own.startswith(("must ", "is ", "has "))


def test_a_long_or_hostile_value_is_cut_and_escaped() -> None:
    assert shown("x" * 61) == "'" + "x" * 60 + "…'"
    assert shown("a\nb\x1b[31m\u202e") == "'a\\nb\\x1b[31m\\u202e'"
    assert shown(7) == "'7'"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TPLUS_PORT", "70000", "TPLUS_PORT='70000' cannot be used: must be 65535 or less"),
        ("TPLUS_PORT", "eighty", "TPLUS_PORT='eighty' cannot be used: must be a whole number"),
        ("TPLUS_LOG_LEVEL", "loud", "TPLUS_LOG_LEVEL='loud' cannot be used: must be debug, info, warning or error"),
        ("TPLUS_LOOKBACK", "0", "TPLUS_LOOKBACK='0' cannot be used: must be 1 or more"),
        ("TPLUS_PORT", "9" * 4_000, f"TPLUS_PORT='{'9' * 60}…' cannot be used: must be 65535 or less"),
        ("TPLUS_SETTLE_MINUTES", "1.5", "TPLUS_SETTLE_MINUTES='1.5' cannot be used: must be a whole number"),
    ],
)
def test_settings_use_the_same_sentences(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    assert str(caught.value) == sentence
