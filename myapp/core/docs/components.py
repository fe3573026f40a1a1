"""The schemas of an OpenAPI document, under their names instead of their ``$id``."""

from typing import Any

from myapp.core.schema.names import model_name
from myapp.core.schema.registry import references
from myapp.core.schema.strict_json import JSON

# Keywords whose values are data; the values are not rewritten.
DATA = frozenset({"const", "default", "enum", "example", "examples"})


def reference(schema: JSON) -> JSON:
    """A reference to a schema by its name."""
    return {"$ref": f"#/components/schemas/{model_name(schema)}"}


def component(schema: JSON) -> JSON:
    """A schema under its name, and each of its ``$defs`` under a name of its own, since
    some tools lose definitions inside another schema."""
    name = model_name(schema)
    body = {
        key: value
        for key, value in schema.items()
        if key not in ("$id", "$schema", "$defs", "title")
    }
    # Tools name a schema by its title, when it has a title, and not by its name.
    if "title" in schema:
        body["description"] = ". ".join(
            schema[key] for key in ("title", "description") if key in schema
        )
    found = {name: rewritten(body, name)}
    for key, value in schema.get("$defs", {}).items():
        found[f"{name}_{key}"] = rewritten(value, name)
    return found


def rewritten(node: Any, owner: str) -> Any:
    """A part of a schema, with its references replaced by references to components.

    :param owner: the name of the schema that contains the part.
    """
    if isinstance(node, list):
        return [rewritten(item, owner) for item in node]
    if not isinstance(node, dict):
        return node
    result = {
        key: value if key in DATA else rewritten(value, owner)
        for key, value in node.items()
    }
    target = node.get("$ref")
    if isinstance(target, str):
        name = f"{owner}_{target[8:]}" if target.startswith("#/$defs/") else None
        if target.startswith("/schemas/"):
            name = model_name({"$id": target})
        result["$ref"] = f"#/components/schemas/{name}"
    return result


def used_schemas(named: JSON, paths: JSON) -> JSON:
    """The schemas that paths refer to, and those that these refer to."""
    found: JSON = {}
    left = [paths]
    while left:
        for target in references(left.pop()):
            name = target.removeprefix("#/components/schemas/")
            if name in named and name not in found:
                found[name] = named[name]
                left.append(named[name])
    return found
