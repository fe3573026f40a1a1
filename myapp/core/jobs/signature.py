"""JSON Schemas from the signatures of functions, for the arguments of jobs."""

import inspect
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from myapp.core.schema.strict_json import JSON

TYPES: dict[Any, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    NoneType: "null",
}
BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def arguments_schema(function: Callable[..., Any]) -> JSON:
    """The schema of the arguments of a function, as an object.

    :raises TypeError: for an argument without a name, or a type that JSON does not
        have.
    """
    hints = get_type_hints(function)
    properties: JSON = {}
    required = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in BY_NAME:
            raise TypeError(f"{function.__qualname__} takes {parameter}; name it")
        properties[name] = type_schema(hints.get(name, Any))
        if parameter.default is parameter.empty:
            required.append(name)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def type_schema(hint: Any) -> JSON:
    """The schema of a type.

    :raises TypeError: for one that JSON does not have.
    """
    if hint is Any:
        return {}
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in (Union, UnionType):
        return {"anyOf": [type_schema(part) for part in parts]}
    kind = TYPES.get(origin or hint)
    if kind is None:
        raise TypeError(f"{hint} is no JSON; take a text, a number, a list or a dict")
    schema: JSON = {"type": kind}
    if kind == "array" and parts:
        schema["items"] = type_schema(parts[0])
    if kind == "object" and parts:
        schema["additionalProperties"] = type_schema(parts[1])
    return schema
