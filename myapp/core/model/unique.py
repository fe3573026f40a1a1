"""Fields whose value no two records share."""

from collections.abc import Collection, Iterable

from myapp.core.errors.pointers import pointer, problem_at
from myapp.core.errors.problem import Problem


def taken(fields: Iterable[str], shown: Collection[str]) -> Problem:
    """The problem of a record whose values in these fields are those of another one.

    :param shown: the fields that clients may know of.
    """
    places = [pointer(field) for field in fields if field in shown] or [""]
    return Problem(
        "conflict",
        "Another record has the same values.",
        errors=[problem_at(place, "is taken", "unique") for place in places],
    )
