"""One plain sentence for each error that the validation of a parameter or a setting reports.

A sentence names what the parameter must be, its limit, and what was given, escaped and cut.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

_SHOWN = 60
"""Most characters that a sentence repeats of a value."""

Details = Mapping[str, Any]


def _limit(template: str, name: str) -> Callable[[Details], str]:
    return lambda details: template.format(details.get(name, "the limit"))


def _choice(details: Details) -> str:
    names = str(details.get("expected", "the known names")).replace("'", "").replace(" or ", ", ")
    return f"must be one of {names}"


def _fixed(sentence: str) -> Callable[[Details], str]:
    return lambda _details: sentence


_WHOLE = _fixed("must be a whole number")
_NUMBER = _fixed("must be a number")
_DATE = _fixed("must be a date, YYYY-MM-DD")
_INSTANT = _fixed("must be an instant with its zone, such as 2018-06-01T21:40:00Z")
_TRUTH = _fixed("must be true or false")
_TEXT = _fixed("must be text")


def _tag(details: Details) -> str:
    names = str(details.get("expected_tags", "the known names")).replace("'", "")
    return f"must be one of {names}"


def _missing_tag(details: Details) -> str:
    return f"must name a {str(details.get('discriminator', 'kind')).strip(chr(39))}"


_SENTENCES: Mapping[str, Callable[[Details], str]] = {
    "missing": _fixed("is missing; give it"),
    "string_too_long": _limit("must have at most {} characters", "max_length"),
    "string_too_short": _limit("must have at least {} characters", "min_length"),
    "string_pattern_mismatch": _fixed("has characters that are not allowed here"),
    "too_short": _limit("must have at least {} items", "min_length"),
    "too_long": _limit("must have at most {} items", "max_length"),
    "greater_than": _limit("must be greater than {}", "gt"),
    "greater_than_equal": _limit("must be {} or more", "ge"),
    "less_than": _limit("must be less than {}", "lt"),
    "less_than_equal": _limit("must be {} or less", "le"),
    "multiple_of": _limit("must be a multiple of {}", "multiple_of"),
    "literal_error": _choice,
    "enum": _choice,
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number", "decimal_type", "decimal_parsing"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _TRUTH),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), _DATE),
    "date_from_datetime_inexact": _DATE,
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_object_invalid"), _INSTANT),
    **dict.fromkeys(("datetime_from_date_parsing", "timezone_naive", "timezone_aware", "timezone_offset"), _INSTANT),
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), _TEXT),
    "union_tag_invalid": _tag,
    "union_tag_not_found": _missing_tag,
    **dict.fromkeys(("model_attributes_type", "model_type", "dict_type"), _fixed("must be a JSON object")),
    "list_type": _fixed("must be a list"),
    "json_invalid": _fixed("is not JSON"),
    "json_type": _fixed("is not JSON"),
    "extra_forbidden": _fixed("is not a parameter of this route; leave it out"),
    "unexpected_keyword_argument": _fixed("is not a parameter of this route; leave it out"),
}

_OTHER = _fixed("is not accepted")


def validation_message(error: Mapping[str, Any], patterns: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the predicate of one validation error, to be read after the parameter's name.

    Args:
        error: An item of `errors()` of a validation error.
        patterns: Regular expression -> what a text must be that does not match it.
    """
    sentence = _sentence(error, patterns)
    given = error.get("input")
    return sentence if error.get("type") == "missing" or given is None else f"{sentence}; {shown(given)} was given"


def validation_rule(error: Mapping[str, Any], patterns: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the same without what was given."""
    return _sentence(error, patterns)


def has_sentence(error: Mapping[str, Any]) -> bool:
    """Return whether the error is the library's own, and has a sentence here."""
    return error.get("type") in _SENTENCES


def _sentence(error: Mapping[str, Any], patterns: Mapping[str, str]) -> str:
    kind, details = str(error.get("type")), error.get("ctx") or {}
    if kind in ("value_error", "assertion_error") and "error" in details:
        return str(details["error"])  # raised by a check of this package, in its own words
    if str(details.get("pattern")) in patterns:
        return patterns[str(details["pattern"])]
    return _SENTENCES.get(kind, _OTHER)(details)


def shown(value: object) -> str:
    """Return a value for a sentence: quoted, control characters escaped, at most 60 characters of it."""
    text = value if isinstance(value, str) else str(value)
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return repr(cut)
