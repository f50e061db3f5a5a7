"""Encodes plain dicts as the JSON of a model, without building the model: that takes as long as all the rest."""

from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict


class PlainEncoder:
    """Encodes dicts with all names of a model, in its order, and values of its types; other names are left out.

    The document is that of the validated model, byte by byte. Most values of other types are refused, but not an int
    for a float, another text than those that a field permits, or None; a name that is missing is left out.

    Args:
        model: The model.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self._serializer = TypeAdapter(_plain_type(model, {})).serializer

    def encode(self, fields: Any) -> bytes:
        """Return the document of a dict.

        Raises:
            PydanticSerializationError: a value has another type than its field, see the class for those it permits.
        """
        return self._serializer.to_json(fields, warnings="error")


def _plain_type(annotation: Any, known: dict[type[BaseModel], Any]) -> Any:
    """Return a field's type with a type of dicts for every model in it."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return Union[tuple(_plain_type(each, known) for each in inner)]  # noqa: UP007  # made at run time
    if origin is list:
        return list[_plain_type(inner[0], known)]  # type: ignore[misc]
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return annotation
    if annotation not in known:
        fields = annotation.model_fields
        known[annotation] = TypedDict(  # type: ignore[operator]
            annotation.__name__, {name: _plain_type(field.annotation, known) for name, field in fields.items()}
        )
    return known[annotation]
