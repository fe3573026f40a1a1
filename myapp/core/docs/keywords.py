"""Compatibility of two schemas, keyword by keyword; see ``compatibility.py``."""

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


def differences(where: str, old: JSON, new: JSON, sent: bool) -> Iterator[Break]:
    """The breaks in the keywords of two schemas, except keywords that hold schemas."""
    yield from (
        (where, what)
        for what in (
            *type_differences(old, new, sent),
            *value_differences(old, new, sent),
            *(default_differences(old, new) if sent else ()),
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
    if one != other and (other or not sent):
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


def default_differences(old: JSON, new: JSON) -> Iterator[str]:
    """A value that a client gets without sending it, and that is another one now."""
    if "default" in old and ("default" not in new or old["default"] != new["default"]):
        yield f"its default is {new.get('default')!r}, was {old['default']!r}"


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
    if not sent and old.get("additionalProperties", True) is False:
        if new.get("additionalProperties", True) is not False:
            yield "may now have other members"


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


def branches_of(schema: JSON) -> list[JSON]:
    """The branches of a schema; the schema itself, when it has no branches."""
    return list(schema.get("anyOf") or schema.get("oneOf") or [schema])
