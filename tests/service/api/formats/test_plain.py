"""Plain dicts are encoded as the validated model is, and values of other types are refused."""

from datetime import UTC, date, datetime
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from service.api.formats.plain import PlainEncoder


class Part(BaseModel):
    at: datetime
    value: float | None


class Whole(BaseModel):
    name: str
    on: date
    is_new: bool
    kind: Literal["live", "replay"]
    best: Part | None
    parts: list[Part]
    figures: list[float]
    note: str | None = None


def fields(**changed: Any) -> dict[str, Any]:
    part = {"at": datetime(2018, 6, 1, 20, tzinfo=UTC), "value": 1e-7}
    plain = {
        "name": 'a "b"\n', "on": date(2018, 6, 4), "is_new": True, "kind": "live", "best": part,
        "parts": [part, {"at": part["at"], "value": None}], "figures": [0.1, 1.0, 1e22], "note": None,
    }  # fmt: skip
    return plain | changed


ENCODER = PlainEncoder(Whole)
DOCUMENT = (
    b'{"name":"a \\"b\\"\\n","on":"2018-06-04","is_new":true,"kind":"live",'
    b'"best":{"at":"2018-06-01T20:00:00Z","value":1e-7},'
    b'"parts":[{"at":"2018-06-01T20:00:00Z","value":1e-7},{"at":"2018-06-01T20:00:00Z","value":null}],'
    b'"figures":[0.1,1.0,1e+22],"note":null}'
)


def test_the_document_is_that_of_the_model_without_names_it_does_not_have() -> None:
    assert ENCODER.encode(fields(other=object())) == DOCUMENT
    assert Whole.model_validate(fields()).model_dump_json().encode() == DOCUMENT
    assert ENCODER.encode(fields(best=None)) == Whole(**fields(best=None)).model_dump_json().encode()


@pytest.mark.parametrize(
    "changed",
    [{"name": 5}, {"on": "2018-06-04"}, {"is_new": 1}, {"best": "x"}, {"parts": [{"at": "now", "value": 1.0}]},
     {"figures": (1.0,)}, {"note": 1}],
)  # fmt: skip
def test_values_of_other_types_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(PydanticSerializationError):
        ENCODER.encode(fields(**changed))
