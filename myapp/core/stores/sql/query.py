"""The list query as SQL: one statement for each shape of a query, built once.

Pages are found by keyset. Records whose first sort field is unset come last, in either
direction, and are read by a statement of their own, called a run. Each run has the
order of an index ``(field, id)`` on every engine; NULLS LAST has the order of an index
on no engine.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Table,
    and_,
    bindparam,
    false,
    func,
    or_,
    select,
    tuple_,
)

from myapp.core.query.filters import Filter
from myapp.core.query.list_query import ListQuery, Sort
from myapp.core.query.search import pattern_of

Parameters = dict[str, Any]
SURROGATES = range(0xD800, 0xE000)


class Shape(NamedTuple):
    """The parts of a query that decide the text of its statement; the rest are
    parameters.

    :param filters: the field, the operator and the number of values of each filter.
    :param after: for each field of the sort, whether the last record of the previous
        page has a value; ``None`` on a first page.
    :param unset: whether this is the run of records whose first sort field is unset;
        ``None`` when that field is always set.
    """

    table: Table
    filters: tuple[tuple[str, str, int], ...]
    searchable: tuple[str, ...]
    words: int
    sort: tuple[Sort, ...]
    after: tuple[bool, ...] | None
    unset: bool | None


def shape_of(
    table: Table, searchable: tuple[str, ...], query: ListQuery, unset: bool | None
) -> Shape:
    """The shape of one run of a query."""
    after = query.after
    return Shape(
        table,
        tuple((one.field, operator_of(one), len(one.values)) for one in query.filters),
        searchable if query.words else (),
        len(query.words),
        query.sort,
        None if after is None else tuple(value is not None for value in after),
        unset,
    )


def operator_of(condition: Filter) -> str:
    """The operator of a filter; ``null`` with the value false becomes ``set``, because
    both have no parameter."""
    is_null = condition.operator == "null"
    return "set" if is_null and not condition.values[0] else condition.operator


def parameters_of(query: ListQuery) -> Parameters:
    """The parameters of the statement of a query, except limit and offset."""
    result: Parameters = {}
    for number, condition in enumerate(query.filters):
        if condition.operator == "null":
            continue
        values: Any = condition.values
        if condition.operator == "prefix":
            result[f"above{number}"] = successor(values[0])
        result[f"filter{number}"] = values if condition.operator == "in" else values[0]
    for number, word in enumerate(query.words):
        result[f"word{number}"] = pattern_of(word)
    for number, value in enumerate(query.after or ()):
        result[f"after{number}"] = value
    return result


@lru_cache(maxsize=512)
def page_statement(shape: Shape) -> Select[Any]:
    """The SELECT of one run of a page."""
    table, sort = shape.table, shape.sort
    conditions = [*match_conditions(shape)]
    first = table.c[sort[0][0]]
    ordered = [part for one in sort for part in order(table, one)]
    if shape.unset is not None:
        conditions.append(first.is_(None) if shape.unset else first.is_not(None))
        # Inside a run, the first field needs no IS NULL in ORDER BY. The field itself
        # stays in ORDER BY, also in the unset run, so that PostgreSQL uses the index.
        ordered = ordered[1:]
        sort = sort[1:] if shape.unset else sort
    if shape.after is not None:
        skipped = len(shape.sort) - len(sort)
        conditions.append(after_place(table, sort, shape.after[skipped:], skipped))
    return (
        select(table)
        .where(*conditions)
        .order_by(*ordered)
        .limit(bindparam("limit"))
        .offset(bindparam("offset"))
    )


@lru_cache(maxsize=512)
def count_statement(shape: Shape) -> Select[Any]:
    """The SELECT that counts the records that match."""
    return select(func.count()).select_from(shape.table).where(*match_conditions(shape))


def match_conditions(shape: Shape) -> list[ColumnElement[bool]]:
    """The conditions of filters and words."""
    conditions = []
    for number, (field, operator, count) in enumerate(shape.filters):
        conditions.append(condition(shape.table.c[field], operator, number, count))
    for number in range(shape.words):
        word: Any = bindparam(f"word{number}")
        fields = [shape.table.c[name] for name in shape.searchable]
        conditions.append(or_(*(field.regexp_match(word) for field in fields)))
    return conditions


def condition(column: Any, operator: str, number: int, count: int) -> Any:
    """One filter on a column, with bound values."""
    value = bindparam(f"filter{number}", type_=compared(column))
    if operator == "in":
        values = bindparam(f"filter{number}", expanding=True, type_=compared(column))
        return column.in_(values)
    if operator == "null":
        return column.is_(None)
    if operator == "set":
        return column.is_not(None)
    if operator == "ne":
        return (
            or_(column != value, column.is_(None))
            if column.nullable
            else column != value
        )
    if operator == "prefix":
        above = bindparam(f"above{number}", type_=column.type)
        return and_(column >= value, column < above)
    return {
        "eq": column == value,
        "gt": column > value,
        "gte": column >= value,
        "lt": column < value,
        "lte": column <= value,
    }[operator]


def compared(column: Any) -> Any:
    """The type of a value that is compared with a column. For integers it is 64 bits,
    because the value may be too large for the column."""
    return BigInteger() if isinstance(column.type, Integer) else column.type


def successor(text: str) -> str:
    """The smallest text that sorts after every text with this prefix."""
    while text:
        code = ord(text[-1]) + 1
        text = text[:-1]
        if code in SURROGATES:
            code = SURROGATES.stop
        if code <= 0x10FFFF:
            return text + chr(code)
    return "\U0010ffff" * 8


def order(table: Table, sort: Sort) -> Sequence[ColumnElement[Any]]:
    """The ORDER BY of one field: unset values last."""
    name, down = sort
    column = table.c[name]
    ordered = column.desc() if down else column.asc()
    return (column.is_(None), ordered) if column.nullable else (ordered,)


def after_place(
    table: Table, sort: Sequence[Sort], is_set: Sequence[bool], skipped: int
) -> ColumnElement[bool]:
    """The condition for the records after a place in the order.

    :param is_set: for each field, whether the place has a value.
    :param skipped: the number of sort fields before these.
    """
    columns = [table.c[name] for name, _ in sort]
    values = [
        bindparam(f"after{number + skipped}", type_=compared(column))
        for number, column in enumerate(columns)
    ]
    down = {way for _, way in sort}
    # The first sort field is never unset in its own run; other fields may be unset.
    may_be_unset = columns if skipped else columns[1:]
    if len(down) == 1 and not any(column.nullable for column in may_be_unset):
        row, place = tuple_(*columns), tuple_(*values)
        ahead = row < place if down.pop() else row > place
        # MariaDB needs a condition on the first column alone to use the index.
        least = columns[0] <= values[0] if sort[0][1] else columns[0] >= values[0]
        return and_(least, ahead) if len(columns) > 1 else ahead
    return lexicographic(columns, values, sort, is_set)


def lexicographic(
    columns: Any, values: Any, sort: Sequence[Sort], is_set: Sequence[bool]
) -> ColumnElement[bool]:
    """The same condition for fields with different directions, or with unset values."""
    result: ColumnElement[bool] = false()
    for column, value, (_, way), known in reversed(
        list(zip(columns, values, sort, is_set))
    ):
        ahead = column < value if way else column > value
        same = column == value
        if column.nullable:
            ahead = or_(ahead, column.is_(None)) if known else false()
            same = same if known else column.is_(None)
        result = or_(ahead, and_(same, result))
    return result
