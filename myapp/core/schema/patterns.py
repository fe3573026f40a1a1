"""Patterns of ECMA-262, as JSON Schema has them, compiled for Python."""

import re
from functools import lru_cache

from myapp.core.schema.strict_json import JSON

# White space and line ends of ECMA-262, beyond those of Python's ASCII mode.
ECMA_BLANKS = "\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
# One escape, the start of a group with a name, or any other character.
TOKEN = re.compile(
    r"\\c[A-Za-z]|\\u\{[0-9A-Fa-f]+\}|\\k<\w+>|\\.|\(\?<(?=\w)|.", re.DOTALL
)
# The keywords that hold data, and no schemas.
HOLD_DATA = ("const", "default", "enum", "examples")
# What a token means outside a class, where Python differs.
OUTSIDE = {
    "$": r"\Z",
    ".": "[^\n\r\u2028\u2029]",
    r"\s": rf"[\s{ECMA_BLANKS}]",
    r"\S": rf"[^\s{ECMA_BLANKS}]",
    "(?<": "(?P<",
}
INSIDE = {r"\s": rf"\s{ECMA_BLANKS}"}


@lru_cache(maxsize=1024)
def ecma_pattern(pattern: str) -> re.Pattern[str]:
    r"""Compile a pattern with its meaning in ECMA-262.

    In Python ``$`` matches before a last newline, ``\d`` any digit of Unicode, ``.``
    some line ends, and ``\s`` other blanks (JSON Schema 2020-12 Core, section 6.4).

    :raises re.error: for what Python cannot express, such as ``\p{L}``.
    """
    in_class, result = False, []
    for token in TOKEN.findall(pattern):
        result.append(translated(token, in_class))
        if token in ("[", "]"):
            in_class = token == "["
    return re.compile("".join(result), re.ASCII)


def translated(token: str, in_class: bool) -> str:
    """A token of ECMA-262 in Python.

    :raises re.error: when there is none.
    """
    if token.startswith(r"\c") and len(token) == 3:
        return re.escape(chr(ord(token[2]) % 32))
    if token.startswith(r"\u{"):
        return re.escape(chr(int(token[3:-1], 16)))
    if token.startswith(r"\k<"):
        return f"(?P={token[3:-1]})"
    if token == r"\S" and in_class:
        raise re.error(r"\S inside a class")
    return (INSIDE if in_class else OUTSIDE).get(token, token)


def check_patterns(schema: JSON) -> None:
    """Compile each pattern of a schema.

    :raises ValueError: with the ``$id`` of the schema, when one cannot be compiled.
    """
    pending = [schema]
    while pending:
        node = pending.pop()
        patterns = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
        patterns += [*node.get("patternProperties", {})]
        for pattern in patterns:
            try:
                ecma_pattern(pattern)
            except (re.error, OverflowError, ValueError) as error:
                name = schema.get("$id", "a schema")
                raise ValueError(
                    f"{name}: the pattern {pattern!r} cannot be used: {error}"
                ) from error
        for keyword, value in node.items():
            parts = [] if keyword in HOLD_DATA else parts_of(value)
            pending += [one for one in parts if isinstance(one, dict)]


def parts_of(value: object) -> list[object]:
    """The schemas that a keyword may hold."""
    if isinstance(value, dict):
        return [value, *value.values()]
    return value if isinstance(value, list) else []
