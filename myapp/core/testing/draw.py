"""Conformance: the values that hypothesis draws for a model: valid values, and values
with one fault.

They cover the part of JSON Schema that models use. Any other keyword or format is an
error here, so that every constraint of a model is tested.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from myapp.core.schema.formats import FORMAT_CHECKER
from myapp.core.schema.patterns import ecma_pattern
from myapp.core.schema.strict_json import JSON, MAX_INTEGER, MIN_INTEGER
from myapp.core.schema.validator import Validator

Values = SearchStrategy[Any]
#: Strategies that replace the schema for some members of a record.
Known = Mapping[str, Values]
#: Pairs: the JSON Pointer of the fault, and the value that has the fault.
Faulty = SearchStrategy[tuple[str, Any]]

ANNOTATIONS = "$id $schema title description default examples readOnly writeOnly"
STRUCTURE = "type enum const format items properties required additionalProperties not"
TYPES: dict[str, tuple[type[Any], ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}
SPECIMENS: list[Any] = [None, True, False, 0, 7, 1.5, -1.5, "", "x", [], [0], {}]
# From here on a double cannot hold every integer.
MAX_EXACT = 2**53
LONG = 200

# All of Unicode that JSON may contain here. Characters with a meaning in SQL, LIKE,
# Lua, JSON, a collation or a terminal are drawn more often.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
AWKWARD = " \t\n\r%_\\'\";,~/\x01\x7fAaÄä\u0301ßſİı\u200b\u2028\u202e\ufeff\uffff"
LETTERS = CHARACTERS | st.sampled_from(AWKWARD + "😀\U0010ffff")


def regex(pattern: str) -> SearchStrategy[str]:
    """Text that matches a pattern from its start to its end."""
    return st.from_regex(ecma_pattern(pattern), fullmatch=True, alphabet=CHARACTERS)


DAYS = st.dates().map(str)
NAME = "[a-z][a-z0-9-]{0,20}[a-z0-9]"
MOMENTS = st.builds(
    "{}T{}{}{}".format,
    DAYS,
    st.times().map(lambda time: time.isoformat("seconds")),
    st.just("") | regex(r"\.[0-9]{1,6}"),
    st.just("Z") | regex("[+-]([01][0-9]|2[0-3]):[0-5][0-9]"),
)
IDS = st.uuids().map(str)
FORMATTED: dict[str, SearchStrategy[str]] = {
    "date": DAYS,
    "date-time": MOMENTS | MOMENTS.map(str.lower),
    "uuid": IDS | IDS.map(str.upper),
    "decimal": regex(r"-?(0|[1-9][0-9]{0,27})(\.[0-9]{1,10})?"),
    "email": regex(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,20}}@{NAME}\.example"),
    "uri": regex(rf"(https?://{NAME}\.example(/[\w.~-]*)*|urn:{NAME}:[a-z0-9]+)"),
}
# Nearly valid, so they find more faults than random text.
ALMOST: dict[str, SearchStrategy[str]] = {
    "date": regex("[0-9]{4}-[0-3][0-9]-[0-3][0-9]"),
    "date-time": regex("[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:60Z?"),
    "uuid": regex("[0-9a-g]{8}(-?[0-9a-g]{4}){3}-?[0-9a-g]{12}"),
    "decimal": regex("[+-]?[0-9]{0,30}[.,]?[0-9]{0,12}(e[0-9])?"),
}


def types_of(schema: JSON) -> list[str]:
    """The types that a schema allows.

    :raises TypeError: when it has a keyword or a type that is not drawn here.
    """
    beyond = set(schema) - {*ANNOTATIONS.split(), *STRUCTURE.split(), *BROKEN}
    if beyond or not {"type", "enum", "const"} & set(schema):
        raise TypeError(f"cannot draw from {schema}: {beyond or 'it has no type'}")
    types = schema.get("type", [])
    return types if isinstance(types, list) else [types]


def choices(schema: JSON) -> list[Any] | None:
    """The values that a schema lists."""
    return [schema["const"]] if "const" in schema else schema.get("enum")


def values(schema: JSON) -> Values:
    """Values that a schema allows."""
    types, listed = types_of(schema), choices(schema)
    if listed is not None:
        return st.sampled_from(listed)
    drawn = st.one_of([DRAWN[name](schema) for name in types])
    if "not" not in schema:
        return drawn
    judge = Validator({"not": schema["not"]})
    return drawn.filter(lambda value: not judge.errors(value))


def filled(length: int) -> SearchStrategy[str]:
    """Text of an exact length that repeats a few characters: drawing each is slow."""
    part = st.text(LETTERS, min_size=1, max_size=8)
    return part.map(lambda text: (text * length)[:length])


def texts(schema: JSON) -> SearchStrategy[str]:
    """Text, by pattern, format and length; the longest text is drawn often."""
    least, most = schema.get("minLength", 0), schema.get("maxLength", LONG)
    if "pattern" in schema:
        drawn = st.from_regex(ecma_pattern(schema["pattern"]), alphabet=CHARACTERS)
    elif "format" in schema:
        drawn = FORMATTED[schema["format"]]
    else:
        return st.text(LETTERS, min_size=least, max_size=most) | filled(most)
    form = schema.get("format", "")
    drawn = drawn.filter(lambda text: FORMAT_CHECKER.conforms(text, form))
    return drawn.filter(lambda text: least <= len(text) <= most)


def integers(schema: JSON) -> SearchStrategy[int]:
    """Integers of at most 64 bits; the bounds are drawn more often."""
    above = schema.get("exclusiveMinimum", MIN_INTEGER - 1)
    below = schema.get("exclusiveMaximum", MAX_INTEGER + 1)
    least = max(schema.get("minimum", MIN_INTEGER), above + 1)
    most = min(schema.get("maximum", MAX_INTEGER), below - 1)
    return st.integers(least, most) | st.sampled_from([least, most])


def numbers(schema: JSON) -> SearchStrategy[float]:
    """Doubles; small whole numbers as integers, because in JSON both are equal."""
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    drawn = st.floats(
        schema.get("minimum", above),
        schema.get("maximum", below),
        allow_nan=False,
        allow_infinity=False,
    ).filter(lambda value: value not in (above, below))
    return drawn.map(
        lambda value: (
            int(value) if abs(value) < MAX_EXACT and value == int(value) else value
        )
    )


def arrays(schema: JSON) -> SearchStrategy[list[Any]]:
    """Arrays of any size that the schema allows."""
    unique = partial(json.dumps, sort_keys=True) if schema.get("uniqueItems") else None
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    items = values(schema["items"])
    return st.lists(items, min_size=least, max_size=most, unique_by=unique)


def objects(schema: JSON, known: Known = {}) -> SearchStrategy[JSON]:
    """Objects with all required members, and some of the others."""
    members = {
        name: known[name] if name in known else values(field)
        for name, field in schema["properties"].items()
    }
    required = {name: members.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional=members)


DRAWN: dict[str, Callable[[JSON], Values]] = {
    "null": lambda schema: st.none(),
    "boolean": lambda schema: st.booleans(),
    "integer": integers,
    "number": numbers,
    "string": texts,
    "array": arrays,
    "object": objects,
}


def misfits(schema: JSON) -> SearchStrategy[str]:
    """Text that does not match a pattern, sometimes only for a line end after it."""
    pattern = ecma_pattern(schema["pattern"])
    near = st.builds(
        lambda text, make: make.format(text, text[1:], text[:-1]),
        texts(schema),
        st.sampled_from(["{0}\n", " {0}", "{0}{0}", "{1}", "{2}", "{2}\u0663"]),
    )
    some = st.text(LETTERS, max_size=schema.get("maxLength", LONG)) | near
    return some.filter(lambda text: not pattern.search(text))


def beyond(first: float, way: int) -> Values:
    """Numbers outside a bound, by a little or by a lot."""
    steps = st.just(0) | st.integers(0, MAX_EXACT)
    drawn = steps.map(lambda step: first + way * step)
    return drawn.filter(lambda value: MIN_INTEGER <= value <= MAX_INTEGER)


def doubled(schema: JSON) -> Values:
    """Arrays with two equal items."""
    pairs = st.tuples(arrays({**schema, "maxItems": 3}), values(schema["items"]))
    return pairs.map(lambda pair: [*pair[0], pair[1], pair[1]])


# Values that break a keyword, for each keyword about a value as a whole.
BROKEN: dict[str, Callable[[JSON], Values]] = {
    "minLength": lambda one: st.text(LETTERS, max_size=one["minLength"] - 1),
    "maxLength": lambda one: filled(one["maxLength"] + 1),
    "pattern": misfits,
    "minimum": lambda one: beyond(one["minimum"] - 1, -1),
    "maximum": lambda one: beyond(one["maximum"] + 1, 1),
    "exclusiveMinimum": lambda one: beyond(one["exclusiveMinimum"], -1),
    "exclusiveMaximum": lambda one: beyond(one["exclusiveMaximum"], 1),
    "minItems": lambda one: st.lists(
        values(one["items"]), max_size=one["minItems"] - 1
    ),
    "maxItems": lambda one: values(one["items"]).map(
        lambda item: [item] * (one["maxItems"] + 1)
    ),
    "uniqueItems": doubled,
}
# Keywords that no value can break.
VOID = [("minLength", 0), ("minItems", 0), ("uniqueItems", False)]
VOID += [("minimum", MIN_INTEGER), ("maximum", MAX_INTEGER)]


def faults(schema: JSON, known: Known = {}) -> Iterator[tuple[str, Faulty]]:
    """Every constraint of a schema and of the schemas inside it: the keyword, and
    values that break only this constraint."""
    whole, listed = {}, choices(schema)
    allowed = {kind for name in types_of(schema) for kind in TYPES[name]}
    if allowed:
        others = [value for value in SPECIMENS if type(value) not in allowed]
        whole["type"] = st.sampled_from(others)
    if listed is not None:
        some = st.text(LETTERS) if str in map(type, listed) else st.integers(-99, 99)
        keyword = "const" if "const" in schema else "enum"
        whole[keyword] = some.filter(lambda value: value not in listed)
    elif "format" in schema and "pattern" not in schema:
        form = schema["format"]
        some = ALMOST.get(form, st.nothing()) | st.text(LETTERS, max_size=20)
        whole["format"] = some.filter(
            lambda text: not FORMAT_CHECKER.conforms(text, form)
        )
    for keyword, make in BROKEN.items():
        if keyword in schema and (keyword, schema[keyword]) not in VOID:
            whole[keyword] = make(schema)
    for keyword, drawn in whole.items():
        yield keyword, st.tuples(st.just(""), drawn)
    if "items" in schema:
        least = max(schema.get("minItems", 0) - 1, 0)
        most = min(max(least, 3), schema.get("maxItems", LONG) - 1)
        room = arrays({**schema, "minItems": least, "maxItems": most})
        for keyword, drawn in faults(schema["items"]):
            yield keyword, st.builds(inserted, room, st.integers(0, 3), drawn)
    if "properties" in schema:
        yield from member_faults(schema, objects(schema, known))


def member_faults(schema: JSON, valid: Values) -> Iterator[tuple[str, Faulty]]:
    """A missing member, an unknown member, or a member with a wrong value."""
    properties = schema["properties"]
    for name in schema.get("required", ()):
        yield "required", st.builds(without, valid, st.just(name))
    if schema.get("additionalProperties") is False:
        names = st.text(LETTERS).filter(lambda name: name not in properties)
        extra = st.tuples(st.just(""), st.sampled_from(SPECIMENS))
        yield "additionalProperties", st.builds(placed, valid, names, extra)
    for name, field in properties.items():
        for keyword, drawn in faults(field):
            yield keyword, st.builds(placed, valid, st.just(name), drawn)


def inserted(
    items: list[Any], index: int, fault: tuple[str, Any]
) -> tuple[str, list[Any]]:
    """An array with one wrong item."""
    index = min(index, len(items))
    return f"/{index}{fault[0]}", [*items[:index], fault[1], *items[index:]]


def without(value: JSON, name: str) -> tuple[str, JSON]:
    """An object that lacks a member."""
    return step(name), {key: value[key] for key in value if key != name}


def placed(value: JSON, name: str, fault: tuple[str, Any]) -> tuple[str, JSON]:
    """An object with a wrong member."""
    return step(name) + fault[0], {**value, name: fault[1]}


def step(name: str) -> str:
    """One member in a JSON Pointer, RFC 6901."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
