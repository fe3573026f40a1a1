"""Compatibility: finds the changes that break clients of a released description.

A client of the old description must work with the new description: the server still
accepts what the client sends, and the client still knows what it gets. So the schema of
a request may only accept more, and the schema of a response may only allow less: no new
type, no new value. New paths, fields and statuses are compatible. Changed bounds in a
response are compatible too, because no generated client relies on them.

Written here because the existing tools are programs in other languages, and the Python
libraries stop at draft-04 of JSON Schema.
"""

import re
from collections.abc import Iterator
from typing import Any

from myapp.core.schema.strict_json import JSON

# A schema accepts less when a keyword of LEAST grows, or a keyword of MOST shrinks.
LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
# Keywords that are only compared for equality: no rule says which value accepts more.
OPAQUE = """
allOf if then else not contains dependentRequired dependentSchemas patternProperties
propertyNames prefixItems unevaluatedItems unevaluatedProperties
""".split()
ALL_TYPES = frozenset("null boolean integer number string array object".split())
ALTERNATIVES = re.compile(r"\(([^()|]*(?:\|[^()|]*)*)\)|\{0,(\d+)\}")

#: The place of a break, and its description.
Break = tuple[str, str]


def find_breaks(old: JSON, new: JSON) -> list[Break]:
    """The breaks between an old and a new document.

    :param old: an OpenAPI 3.1 document whose references are to its components.
    """
    comparison = Comparison(old, new)
    found: list[Break] = []
    for path, operations in old["paths"].items():
        for method, operation in operations.items():
            there = new["paths"].get(path, {}).get(method)
            where = f"{method.upper()} {path}"
            if there is None:
                found.append((where, "is gone"))
            else:
                found += comparison.operation(where, operation, there)
    return list(dict.fromkeys(found))


class Comparison:
    """Compares two documents, part by part.

    Each method yields the breaks of one part, with their places.
    """

    def __init__(self, old: JSON, new: JSON) -> None:
        self.old, self.new = old, new
        # The pairs of components that are being compared now; schemas may be circular.
        self.open: set[tuple[str, str, bool]] = set()

    def operation(self, where: str, old: JSON, new: JSON) -> Iterator[Break]:
        """One method of one path."""
        if new.get("security") and new["security"] != old.get("security"):
            yield where, f"asks for other credentials: {new['security']}"
        yield from self.parameters(where, old, new)
        yield from self.body(f"{where} body", old, new)
        for status, answer in old["responses"].items():
            place = f"{where} {status}"
            if status in new["responses"]:
                yield from self.answer(place, answer, new["responses"][status])
            else:
                yield place, "is gone"

    def parameters(self, where: str, old: JSON, new: JSON) -> Iterator[Break]:
        """The parameters of the path, the query and the headers."""
        before, after = by_name(old), by_name(new)
        for key, parameter in before.items():
            place = f"{where} {key[0]} {key[1]}"
            if key not in after:
                yield place, "is gone"
                continue
            there = after[key]
            if there.get("required") and not parameter.get("required"):
                yield place, "is now required"
            yield from self.schema(place, parameter["schema"], there["schema"], True)
        for key in after.keys() - before.keys():
            if after[key].get("required"):
                yield f"{where} {key[0]} {key[1]}", "is new and required"

    def body(self, where: str, old: JSON, new: JSON) -> Iterator[Break]:
        """The bodies that a request may carry."""
        before, after = old.get("requestBody"), new.get("requestBody")
        if after and after.get("required") and not (before and before.get("required")):
            yield where, "is now required"
        if before and after:
            yield from self.content(where, before["content"], after["content"], True)
        elif before:
            yield where, "is gone"

    def answer(self, where: str, old: JSON, new: JSON) -> Iterator[Break]:
        """The response with one status."""
        for name in old.get("headers", {}):
            if name not in new.get("headers", {}):
                yield f"{where} header {name}", "is gone"
        content = old.get("content", {}), new.get("content", {})
        yield from self.content(where, *content, False)

    def content(self, where: str, old: JSON, new: JSON, sent: bool) -> Iterator[Break]:
        """The bodies by media type."""
        for kind, body in old.items():
            if kind in new:
                yield from self.schema(where, body["schema"], new[kind]["schema"], sent)
            else:
                yield f"{where} {kind}", "is gone"

    def schema(self, where: str, old: Any, new: Any, sent: bool) -> Iterator[Break]:
        """Two schemas.

        :param sent: whether clients send the described value; else they receive it.
        """
        names = old.get("$ref", ""), new.get("$ref", "")
        pair = (*names, sent)
        if pair in self.open:
            return
        if any(names):
            self.open.add(pair)
        old, new = dereferenced(self.old, old), dereferenced(self.new, new)
        yield from differences(where, old, new, sent)
        yield from self.members(where, old, new, sent)
        yield from self.branches(where, old, new, sent)
        self.open.discard(pair)

    def members(self, where: str, old: JSON, new: JSON, sent: bool) -> Iterator[Break]:
        """The members of an object, and the items of an array."""
        after = new.get("properties", {})
        anything = sent and not after and new.get("additionalProperties", True)
        fields = {} if anything else old.get("properties", {})
        for name, field in fields.items():
            if name in after:
                yield from self.schema(f"{where} /{name}", field, after[name], sent)
            else:
                yield f"{where} /{name}", "is gone"
        for keyword in ("items", "additionalProperties"):
            one, other = old.get(keyword), new.get(keyword)
            if isinstance(one, dict) and isinstance(other, dict):
                yield from self.schema(f"{where} /*", one, other, sent)

    def branches(self, where: str, old: JSON, new: JSON, sent: bool) -> Iterator[Break]:
        """The alternatives of ``anyOf`` and ``oneOf``."""
        before, after = branches_of(old), branches_of(new)
        if len(before) == len(after) == 1:
            return
        # In a request, each old branch must still be accepted. In a response, clients
        # must know each new branch.
        needed, known = (before, after) if sent else (after, before)
        for one in needed:
            pairs = [(one, other) if sent else (other, one) for other in known]
            if all([*self.schema(where, *pair, sent)] for pair in pairs):
                verb = "is no longer taken" if sent else "is a new alternative"
                yield where, f"{branch_name(one)} {verb}"


def by_name(operation: JSON) -> dict[tuple[str, str], JSON]:
    """The parameters of an operation, by ``in`` and ``name``."""
    return {(one["in"], one["name"]): one for one in operation.get("parameters", ())}


def dereferenced(document: JSON, schema: Any) -> JSON:
    """The schema that a reference leads to, or the schema itself."""
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
    return dict(schema)


def branches_of(schema: JSON) -> list[JSON]:
    """The branches of a schema; the schema itself, when it has no branches."""
    return list(schema.get("anyOf") or schema.get("oneOf") or [schema])


def branch_name(schema: JSON) -> str:
    """A branch in a few words."""
    return str(schema.get("$ref", "").rpartition("/")[2] or schema.get("type", schema))


def differences(where: str, old: JSON, new: JSON, sent: bool) -> Iterator[Break]:
    """The breaks in the keywords of two schemas, except keywords that hold schemas."""
    yield from (
        (where, what)
        for what in (
            *type_differences(old, new, sent),
            *value_differences(old, new, sent),
            *required_differences(old, new, sent),
            *(bound_differences(old, new) if sent else ()),
        )
    )
    for keyword in OPAQUE:
        if old.get(keyword) != new.get(keyword):
            yield where, f"{keyword} has changed"


def types_of(schema: JSON) -> frozenset[str]:
    """The types that a schema allows."""
    stated = schema.get("type", ALL_TYPES)
    types = {stated} if isinstance(stated, str) else set(stated)
    return frozenset(types | {"integer"} if "number" in types else types)


def type_differences(old: JSON, new: JSON, sent: bool) -> Iterator[str]:
    """Types that requests can no longer have, or that are new in responses."""
    before, after = types_of(old), types_of(new)
    if len(branches_of(old)) > 1 or len(branches_of(new)) > 1:
        # The branches state the types.
        before = after = ALL_TYPES
    for name in sorted(before - after if sent else after - before):
        yield f"may no longer be {name}" if sent else f"may now be {name}"
    one, other = old.get("format"), new.get("format")
    if one != other and (other if sent else one):
        yield f"its format is {other}, was {one}"


def value_differences(old: JSON, new: JSON, sent: bool) -> Iterator[str]:
    """Values that are gone, or that are new in a response."""
    before, after = values_of(old), values_of(new)
    if before is None and after is not None and sent:
        yield f"takes nothing but {', '.join(map(repr, after))}"
    if before is not None and after is None and not sent:
        yield f"may now be other than {', '.join(map(repr, before))}"
    for value in before or () if after is not None else ():
        if value not in (after or ()):
            yield f"{value!r} is gone"
    for value in after or () if before is not None and not sent else ():
        if value not in (before or ()):
            yield f"may now be {value!r}"


def values_of(schema: JSON) -> list[Any] | None:
    """The values that a schema lists, or ``None``."""
    return [schema["const"]] if "const" in schema else schema.get("enum")


def required_differences(old: JSON, new: JSON, sent: bool) -> Iterator[str]:
    """Members that are now required, or that may now be missing."""
    before, after = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(after - before if sent else before - after):
        yield f"/{name} is now required" if sent else f"/{name} may now be missing"
    if sent and old.get("additionalProperties", True) is not False:
        if new.get("additionalProperties", True) is False:
            yield "takes no other members now"


def bound_differences(old: JSON, new: JSON) -> Iterator[str]:
    """Bounds that have become tighter."""
    for keywords, sign in ((LEAST, 1), (MOST, -1)):
        for name in keywords:
            one, other = old.get(name), new.get(name)
            if other is not None and (one is None or sign * other > sign * one):
                yield f"{name} is {other}, was {'nothing' if one is None else one}"
    for name in ("multipleOf", "uniqueItems"):
        if new.get(name) and new[name] != old.get(name):
            yield f"{name} is {new[name]}, was {old.get(name)}"
    if "pattern" in new:
        yield from pattern_differences(old.get("pattern"), new["pattern"])


def pattern_differences(old: str | None, new: str) -> Iterator[str]:
    """The breaks of a changed pattern: it is compatible when it only adds alternatives
    or repetitions, and otherwise it is a break."""
    if old is None or ALTERNATIVES.sub("", old) != ALTERNATIVES.sub("", new):
        if old != new:
            yield f"its pattern is {new}, was {old}"
        return
    for one, other in zip(ALTERNATIVES.finditer(old), ALTERNATIVES.finditer(new)):
        kept = (other[1] or "").split("|")
        gone = [name for name in (one[1] or "").split("|") if name not in kept]
        if gone:
            yield f"no longer takes {' or '.join(gone)}"
        elif int(one[2] or 0) > int(other[2] or 0):
            yield f"its pattern is {new}, was {old}"
