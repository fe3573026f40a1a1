"""Fields whose value no two records share."""

from collections.abc import Iterable

from myapp.core.errors.pointers import pointer, problem_at
from myapp.core.errors.problem import Problem


def taken(fields: Iterable[str]) -> Problem:
    """The problem of a record whose values in these fields are those of another one."""
    places = [pointer(field) for field in fields] or [""]
    return Problem(
        "conflict",
        "Another record has the same values.",
        errors=[problem_at(place, "is taken", "unique") for place in places],
    )
