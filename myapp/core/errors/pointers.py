"""JSON Pointers (RFC 6901): the place of an error in a body."""

from typing import Any


def pointer(*path: Any) -> str:
    """A JSON Pointer of member names and indexes."""
    return "".join(
        "/" + str(part).replace("~", "~0").replace("/", "~1") for part in path
    )


def problem_at(where: str, detail: str, keyword: str) -> dict[str, str]:
    """An item of ``errors`` in the body of a problem.

    :param where: a JSON Pointer.
    :param keyword: the keyword of JSON Schema, or the name of the rule.
    """
    return {"pointer": where, "detail": detail, "keyword": keyword}
