"""The parameter `fields`: the parts of an answer that a client wants, such as `symbol,multi_step.steps.point`."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fastapi import Query
from pydantic import BaseModel

from service.api.common.errors import BadParameter
from service.api.formats.negotiate import Format
from service.validation_messages import shown

MOST_FIELDS = 50
FIELDS_PATTERN = r"^[a-z0-9_]{1,40}(\.[a-z0-9_]{1,40}){0,7}(,[a-z0-9_]{1,40}(\.[a-z0-9_]{1,40}){0,7}){0,49}$"

FieldsQuery = Annotated[
    str | None,
    Query(
        max_length=2000,
        json_schema_extra={"pattern": FIELDS_PATTERN},  # `choose_fields` checks it, and names the wrong one
        description="parts of each item of the JSON answer, names separated by commas, dots before parts of a part: "
        f"`symbol,as_of,multi_step.steps.point`; at most {MOST_FIELDS}; default: all",
    ),
]

Include = dict[str, Any]
"""What pydantic's `include` takes."""


def choose_fields(model: type[BaseModel], text: str | None) -> Include | None:
    """Return the parts of a model that a parameter names; None for all.

    Args:
        model: The model of one item.
        text: The parameter.

    Raises:
        BadParameter: a name is not one of the model's, or there are too many.
    """
    return None if text is None else _choose(model, text)


@lru_cache(256)
def _choose(model: type[BaseModel], text: str) -> Include:
    paths = text.split(",")
    if len(paths) > MOST_FIELDS:
        raise BadParameter("fields", f"names {len(paths)} fields; at most {MOST_FIELDS} are allowed")
    chosen: Include = {}
    for path in paths:
        _add(chosen, model, path)
    return _closed(chosen)


def _add(chosen: Include, model: type[BaseModel], path: str) -> None:
    part, current, here = chosen, model, ""
    names = path.split(".")
    for place, name in enumerate(names):
        annotation = (
            current.model_fields[name].annotation
            if re.fullmatch("[a-z0-9_]+", name, re.ASCII) and (name in current.model_fields)
            else None
        )
        if annotation is None:
            known = ", ".join(current.model_fields)
            where = f"{here[:-1]} has" if here else "there are"
            raise BadParameter("fields", f"names {shown(path)}, and there is no such field; {where} {known}")
        here += f"{name}."
        inner, is_list = _model_in(annotation)
        if place == len(names) - 1:
            part[name] = True
            return
        if inner is None:
            raise BadParameter("fields", f"names {shown(path)}, and {here[:-1]} has no parts; end with it")
        if part.get(name) is True:  # the whole was named before
            return
        part = part.setdefault(name, {"__all__": {}} if is_list else {})
        part = part["__all__"] if is_list else part
        current = inner


def _closed(chosen: Mapping[str, Any]) -> Include:
    """Return a copy that nothing changes later."""
    return {name: value if value is True else _closed(value) for name, value in chosen.items()}


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the model that a field holds, and whether it holds a list of them."""
    origin = get_origin(annotation)
    if origin is list:
        return _model_in(get_args(annotation)[0])[0], True
    if origin in (Union, UnionType):
        found = [_model_in(each) for each in get_args(annotation)]
        return next((each for each in found if each[0] is not None), (None, False))
    return (annotation, False) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else (None, False)


def json_fields(model: type[BaseModel], text: str | None, chosen: Format) -> Include | None:
    """Return the parts of a model that a parameter names; None for all.

    Raises:
        BadParameter: a name is not one of the model's, there are too many, or the answer is a table.
    """
    if text is not None and chosen != "json":
        raise BadParameter("fields", f"is for JSON answers; a table in {chosen} has all columns, omit one of the two")
    return choose_fields(model, text)


def items_json(page: BaseModel, include: Include | None) -> bytes:
    """Return a page as JSON, whose `items` have the wanted parts alone; None = all."""
    chosen: Include | None = None
    if include is not None:
        chosen = {name: True for name in type(page).model_fields}
        chosen["items"] = {"__all__": include}
    return page.__pydantic_serializer__.to_json(page, include=chosen)
