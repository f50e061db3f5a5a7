"""Encodes forecasts as JSON, item by item, with the fields that time alone changes."""

from collections.abc import Sequence

from service.api.answers.database_state import clock_texts
from service.api.answers.make import Documents, Part
from service.api.common.next_edition import NextEdition
from service.api.forecasts.schemas import ForecastAnswer, ForecastPage, Missing
from service.api.forecasts.track_record import Fields
from service.api.formats.fields import Include
from service.api.formats.plain import PlainEncoder

_ITEMS = b'"items":[]'
_FORECAST = PlainEncoder(ForecastAnswer)


def encode_fields(answer: Fields) -> Documents:
    """Return the document of one whole forecast, given as its fields; see `encode_forecasts`.

    Raises:
        PydanticSerializationError: a field has another type than that of `ForecastAnswer`.
    """
    coming = NextEdition(answer["next_edition_at"], answer["next_edition_in_seconds"])
    return Documents([(_FORECAST.encode(answer), answer["calendar"], clock_texts(answer["known_at"], coming))])


def encode_forecasts(answers: Sequence[ForecastAnswer], include: Include | None = None) -> Documents:
    """Return the documents of forecasts, one after another.

    Args:
        answers: The forecasts.
        include: Their parts that are wanted, None = all.
    """
    return Documents(
        [
            (
                answer.__pydantic_serializer__.to_json(answer, include=include),
                answer.calendar,
                clock_texts(answer.known_at, NextEdition(answer.next_edition_at, answer.next_edition_in_seconds)),
            )
            for answer in answers
        ]
    )


def encode_page(
    answers: Sequence[ForecastAnswer], missing: list[Missing], next_cursor: str | None, include: Include | None = None
) -> Documents:
    """Return the documents of a page, whose items are encoded one by one: each has the time of its own calendar."""
    frame = ForecastPage(items=[], missing=missing, next_cursor=next_cursor).model_dump_json().encode()
    before, _, after = frame.partition(_ITEMS)  # a text in JSON has no bare quotation mark
    parts: list[Part] = [(before + b'"items":[', "", {})]
    for place, (document, calendar, texts) in enumerate(encode_forecasts(answers, include).parts):
        parts.append(((b"," if place else b"") + document, calendar, dict(texts)))
    return Documents([*parts, (b"]" + after, "", {})])
