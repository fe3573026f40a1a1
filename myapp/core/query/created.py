"""Conditions on ``created_at`` as conditions on ids: a UUIDv7 begins with its time, so
the index of the ids is that of the times."""

from datetime import UTC, datetime, timedelta

from myapp.core.query.filters import NOTHING, Filter

#: The operators of ``created_at`` that are a range of ids.
CREATED_OPERATORS = ("eq", "gt", "gte", "lt", "lte")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def created_at(id: str) -> datetime:
    """When a UUIDv7 was made: its first 48 bits are milliseconds since 1970, RFC 9562
    section 5.7."""
    return datetime.fromtimestamp(int(id[:8] + id[9:13], 16) / 1000, UTC)


def first_id(milliseconds: int) -> str:
    """An id that sorts before every other id of a time, or of a later time."""
    digits = f"{max(milliseconds, 0):012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"


def on_ids(operator: str, moment: datetime) -> tuple[Filter, ...]:
    """The conditions on ids that are equivalent to one on ``created_at``."""
    whole, rest = divmod((moment - EPOCH) // MICROSECOND, 1000)
    next_whole = whole + 1
    from_moment = next_whole if rest else whole
    if operator == "eq" and rest:
        return (NOTHING,)
    lower = {"eq": whole, "gt": next_whole, "gte": from_moment}.get(operator)
    upper = {"eq": next_whole, "lt": from_moment, "lte": next_whole}.get(operator)
    conditions = []
    if lower is not None:
        conditions.append(Filter("id", "gte", (first_id(lower),)))
    if upper is not None:
        conditions.append(Filter("id", "lt", (first_id(upper),)))
    return tuple(conditions)
