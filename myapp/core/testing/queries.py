"""Conformance: filters, order, pages, and the selection by `fields` and `expand`.

The expected result of a query is computed here, in plain Python, from the records.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from itertools import cycle, pairwise
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import pytest
from flask import Flask
from sqlalchemy import event, inspect

from myapp.core.schema.strict_json import JSON
from myapp.core.stores.redis import RedisModel, redis_store
from myapp.core.stores.sql import SqlModel, sql
from myapp.core.testing.case import ResourceCase
from myapp.core.testing.client import Client

Records = list[JSON]
Sort = Sequence[tuple[str, bool]]
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, given: bool(value == given[0]),
    "gt": lambda value, given: bool(value > given[0]),
    "gte": lambda value, given: bool(value >= given[0]),
    "lt": lambda value, given: bool(value < given[0]),
    "lte": lambda value, given: bool(value <= given[0]),
    "in": lambda value, given: value in given,
    "prefix": lambda value, given: bool(value.startswith(given[0])),
}
PARSE: dict[str, Callable[[str], Any]]
PARSE = {"decimal": Decimal, "date-time": datetime.fromisoformat, "uuid": str.lower}
EXPLAIN = {"postgresql": "EXPLAIN", "sqlite": "EXPLAIN QUERY PLAN"}
# Queries that use a field which is not declared for them.
FILTERS = ["{}=1", "{}[ne]=1", "{}[prefix]=a", "{}[in]=1,2", "{}=", "{}[foo]=1"]
SORTS = ["sort={}", "sort=-{}", "sort={},id", "sort=id,{}"]
UNKNOWN = "no_such_field"


def kind_of(field: JSON) -> str:
    """The kind of a property, a key of WRONG."""
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    kind = field.get("format", next(name for name in types if name != "null"))
    return "enum" if "enum" in field else str(kind)


def operators_of(field: JSON) -> set[str]:
    """The operators that a property has by the contract."""
    if kind_of(field) in ("boolean", "uuid"):
        return {"eq", "ne", "in"}
    is_text = kind_of(field) in ("string", "enum")
    return {*COMPARE, "ne"} - (set() if is_text else {"prefix"})


def comparable(field: JSON, value: Any) -> Any:
    """A value of a record in the form that is compared."""
    parse = PARSE.get(kind_of(field))
    return parse(value) if parse and value is not None else value


def as_text(value: Any) -> str:
    """A value of a record as a query string has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def passes(record: JSON, name: str, field: JSON, operator: str, *given: Any) -> bool:
    """Whether a filter must find a record."""
    wanted = [comparable(field, one) for one in given]
    value = comparable(field, record[name])
    if operator == "ne":
        return bool(value != wanted[0])
    return value is not None and COMPARE[operator](value, wanted)


def in_order(records: Records, properties: JSON, sort: Sort) -> Records:
    """Sorted records: unset values last, equal values by id in the first direction."""
    for name, down in reversed([*sort, ("id", sort[0][1])]):
        known = [record for record in records if record[name] is not None]
        unset = [record for record in records if record[name] is None]
        keys = {one["id"]: comparable(properties[name], one[name]) for one in known}
        known.sort(key=lambda record: keys[record["id"]], reverse=down)
        records = known + unset
    return records


def sort_text(sort: Sort) -> str:
    """An order as a query string has it."""
    return ",".join(f"-{name}" if down else name for name, down in sort)


def walk(
    client: Client, url: str, query: JSON, between: Callable[[Records], object] = len
) -> Records:
    """The records of all pages, by their links.

    :param between: called with each page before the next page is requested.
    """
    items: Records = []
    where = f"{url}?{urlencode(query)}"
    while where:
        response = client.get(where)
        page, link = response.json, response.headers.get("Link", "")
        items += page["items"]
        assert len({record["id"] for record in items}) == len(items), "repeated record"
        where = link.removeprefix("<").removesuffix('>; rel="next"')
        assert parse_qs(urlsplit(where).query).get("cursor", [None]) == [page["next"]]
        assert len(page["items"]) == query["limit"] or not where
        between(page["items"])
    return items


@contextmanager
def selects(app: Flask) -> Iterator[list[tuple[str, Any]]]:
    """Collect each SELECT with its parameters."""
    seen = []

    def note(_one: Any, _two: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    with app.app_context():
        engine = sql.engine.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plan_of(statement: str, parameters: Any) -> str | None:
    """The plan of a statement; ``None`` for engines whose plan depends on the data."""
    connection = sql.session.connection()
    if connection.dialect.name == "postgresql":
        for way in ("seqscan", "bitmapscan", "sort"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
    explain = EXPLAIN.get(connection.dialect.name)
    if explain is None:
        return None
    return str(connection.exec_driver_sql(f"{explain} {statement}", parameters).all())


class Queries(ResourceCase):
    """Filters, order, pages, and the selection by `fields` and `expand`."""

    @pytest.fixture(autouse=True)
    def _prepared(self, client: Client) -> None:
        self.prepare(client)

    @property
    def properties(self) -> JSON:
        """The schema of each field that a record shows."""
        return dict(self.model.read_schema["properties"])

    @property
    def sorts(self) -> list[Sort]:
        """Each order by one field, and orders by two fields in opposite directions."""
        names = ["id", *self.model.sortable]
        result: list[Sort] = [((name, way),) for name in names for way in (False, True)]
        for one, two in pairwise(names[1:]):
            result += [((two, way), (one, not way)) for way in (False, True)]
        return result

    def some(self, client: Client) -> Records:
        """Stored records: equal, different, and with every optional field unset."""
        bodies = [self.full, self.other, self.minimal] * 2
        return [dict(client.post(self.url, json=body).json) for body in bodies]

    def found(self, client: Client, **query: Any) -> Records:
        """The records that a query finds, oldest first by default."""
        query = {"limit": 100, "sort": "id", **query}
        return list(client.get(self.url, query_string=query).json["items"])

    def refusal(self, client: Client, query: str) -> JSON:
        """The problem of a query that must be refused."""
        problem = client.get(f"{self.url}?{query}", expect=400).json
        assert problem["type"] == "/problems/invalid-parameter"
        assert problem["errors"][0]["parameter"] in unquote_plus(query)
        return dict(problem, request_id="")

    def check_filter(self, client: Client, known: Records, name: str, to: Any) -> None:
        """Check that each operator finds the records that it must find for a value."""
        field = self.properties[name]
        for operator in operators_of(field):
            if operator == "in" and "," in as_text(to):
                continue
            key = f"{name}[{operator}]".removesuffix("[eq]")
            query: JSON = {key: as_text(to)}
            wanted = [one for one in known if passes(one, name, field, operator, to)]
            assert self.found(client, **query) == wanted, query

    def test_each_operator_finds_what_it_says(self, client: Client) -> None:
        known = self.some(client)
        for name in self.model.filterable:
            for value in {one[name] for one in known} - {None}:
                self.check_filter(client, known, name, value)

    def test_each_order_pages_through_everything(self, client: Client) -> None:
        known = self.some(client)
        for sort in self.sorts:
            query = {"sort": sort_text(sort), "limit": 4}
            wanted = in_order(known, self.properties, sort)
            assert walk(client, self.url, query) == wanted, query
            for offset in range(1, len(known) + 1, 2):
                page = self.found(client, **query, offset=offset)
                assert page == wanted[offset : offset + 4], (query, offset)

    def test_pages_stand_still_while_others_write(self, client: Client) -> None:
        bodies = cycle([self.full, self.other, self.minimal])

        def disturb(page: Records) -> None:
            # The next page begins after a record that is deleted by then.
            client.delete(self.item(page[-1]))
            client.post(self.url, json=next(bodies))

        self.some(client)
        for sort in self.sorts[2 : 2 * len(self.model.sortable) + 2]:
            known, query = self.found(client), {"sort": sort_text(sort), "limit": 2}
            met = walk(client, self.url, query, disturb)
            met = [record for record in met if record in known]
            assert met == in_order(known, self.properties, sort), query

    def test_fields_show_less_of_the_same(self, client: Client) -> None:
        record, shown = self.make(client), self.model.shown
        tag = client.get(self.item(record)).headers["ETag"]
        for names in (*zip(shown), shown[:3], shown[::-1]):
            query = f"?fields={','.join(names)}"
            response = client.get(f"{self.item(record)}{query}")
            assert response.json == {name: record[name] for name in names}
            assert response.headers["ETag"] == tag
            assert client.get(f"{self.url}{query}").json["items"] == [response.json]

    def test_expand_costs_one_query_for_the_page(self, client: Client) -> None:
        known = self.some(client)[::-1]
        for name, relation in self.model.relations.items():
            with selects(client.application) as plain:
                client.get(self.url)
            with selects(client.application) as seen:
                items = client.get(f"{self.url}?expand={name}").json["items"]
            assert len(seen) == len(plain) + issubclass(relation.model, SqlModel)
            alone = client.get(f"{self.item(known[0])}?expand={name}")
            assert alone.json == items[0]
            for item in items:
                related = item.pop(name) or dict.fromkeys(relation.model.shown)
                assert list(related) == list(relation.model.shown)
                assert related["id"] == item[relation.field]
            assert items == known

    def test_what_is_not_declared_is_as_unknown(self, client: Client) -> None:
        model, written = self.model, self.model.write_schema["properties"]
        for name in dict.fromkeys((*model.shown, *written)):
            probes = [] if name in model.filterable else FILTERS[:]
            probes += [] if name in ("id", *model.sortable) else SORTS
            probes += [] if name in model.relations else ["expand={}"]
            probes += [] if name in model.shown else ["fields={}", "fields=id,{}"]
            for probe in probes:
                mine = self.refusal(client, probe.format(name))
                unknown = str(self.refusal(client, probe.format(UNKNOWN)))
                assert name in model.shown or name not in unknown
                names = rf"\b({name}|{UNKNOWN})\b"
                assert re.sub(names, "", str(mine)) == re.sub(names, "", unknown)

    def test_an_index_is_behind_each_declaration(self, client: Client) -> None:
        record, model = self.make(client), self.model
        declared = dict.fromkeys((*model.filterable, *model.sortable))
        with client.application.app_context():
            if issubclass(model, SqlModel):
                self.check_sql_indexes(client, model.table().name, declared)
            elif issubclass(model, RedisModel):
                keys = [f"{{{model.name}}}:by:{name}" for name in declared]
                for key in keys:
                    (member,) = redis_store.zrange(key, 0, -1)
                    assert member.decode().endswith(f"\0{record['id']}")
                client.delete(self.item(record))
                assert not redis_store.keys(f"{{{model.name}}}:*")

    def check_sql_indexes(self, client: Client, table: str, declared: Any) -> None:
        """Check the indexes of a table, and the query plans, with the declarations."""
        indexes = inspect(sql.session.connection()).get_indexes(table)
        columns = {one["name"]: one["column_names"] for one in indexes}
        for name in declared:
            index = f"ix_{table}_{name}_id"
            assert columns[index] == [name, "id"]
            queries = [f"sort={name}"] if name in self.model.sortable else []
            if name in self.model.filterable:
                queries += [urlencode({name: as_text(self.full[name])})]
            for query in queries:
                with selects(client.application) as seen:
                    client.get(f"{self.url}?{query}")
                assert seen
                for statement, parameters in seen:
                    plan = plan_of(statement, parameters)
                    assert plan is None or index in plan, query
                    # A page has the same cost at any depth only without a sort step.
                    assert not plan or not re.search("Sort|B-TREE", plan), query
