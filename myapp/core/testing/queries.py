"""Conformance: filters, order, pages, and the selection by `fields` and `expand`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, pairwise
from operator import itemgetter
from typing import Any
from urllib.parse import unquote_plus, urlencode

from flask import Flask
from sqlalchemy import event, inspect

from myapp.core.query.created import CREATED_OPERATORS
from myapp.core.schema.strict_json import JSON
from myapp.core.stores.redis import RedisModel, redis_store
from myapp.core.stores.sql import SqlModel, sql
from myapp.core.testing.case import ResourceCase
from myapp.core.testing.client import Client
from myapp.core.testing.expected import (
    Records,
    Sort,
    as_text,
    in_order,
    may_be_unset,
    operators_of,
    passes,
    sort_text,
    walk,
)

EXPLAIN = {"postgresql": "EXPLAIN", "sqlite": "EXPLAIN QUERY PLAN"}
# Queries that use a field which is not declared for them.
FILTERS = ["{}=1", "{}[ne]=1", "{}[prefix]=a", "{}[in]=1,2", "{}=", "{}[foo]=1"]
SORTS = ["sort={}", "sort=-{}", "sort={},id", "sort=id,{}"]
UNKNOWN = "no_such_field"


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

    @property
    def properties(self) -> JSON:
        """The schema of each field that a record shows."""
        return dict(self.model.read_schema["properties"])

    @property
    def sorts(self) -> list[Sort]:
        """Each order by one field, and orders by two fields in opposite directions."""
        names = ["id", *self.model.queryable.sortable]
        result: list[Sort] = [((name, way),) for name in names for way in (False, True)]
        for one, two in pairwise(names[1:]):
            result += [((two, way), (one, not way)) for way in (False, True)]
        return result

    def some(self, client: Client) -> Records:
        """Stored records: equal, different, and with every optional field unset."""
        bodies = [self.full, self.other, self.minimal] * 2
        return [
            dict(client.post(self.url, json=self.fresh(body)).json) for body in bodies
        ]

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
        """Check that each operator finds the records that it must find for a value.

        :param known: all records, by id.
        """
        field = self.properties[name]
        for operator in self.operators_for(name):
            if operator == "in" and "," in as_text(to):
                continue
            key = f"{name}[{operator}]".removesuffix("[eq]")
            query: JSON = {key: as_text(to)}
            wanted = [one for one in known if passes(one, name, field, operator, to)]
            assert self.found(client, **query) == wanted, query

    def operators_for(self, name: str) -> set[str]:
        """The operators of a field that compare it with values."""
        if name == "created_at" and self.model.key.by_time:
            return set(CREATED_OPERATORS)
        return operators_of(self.properties[name])

    def test_each_operator_finds_what_it_says(self, client: Client) -> None:
        known = sorted(self.some(client), key=itemgetter("id"))
        for name in self.model.queryable.filterable:
            for value in {one[name] for one in known} - {None}:
                self.check_filter(client, known, name, value)
            if may_be_unset(self.properties[name]):
                for given in (True, False):
                    wanted = [one for one in known if (one[name] is None) is given]
                    query = {f"{name}[null]": as_text(given)}
                    assert self.found(client, **query) == wanted, query

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
        count = len(self.model.queryable.sortable)

        def disturb(page: Records) -> None:
            # The next page begins after a record that is deleted by then.
            client.delete(self.item(page[-1]))
            client.post(self.url, json=self.fresh(next(bodies)))

        self.some(client)
        for sort in self.sorts[2 : 2 * count + 2]:
            known, query = self.found(client), {"sort": sort_text(sort), "limit": 2}
            met = walk(client, self.url, query, disturb)
            met = [record for record in met if record in known]
            assert met == in_order(known, self.properties, sort), query

    def test_fields_show_less_of_the_same(self, client: Client) -> None:
        record = self.make(client)
        shown = (*self.model.shown, *self.model.computed)
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
                related = item.pop(name)
                assert (related or {}).get("id") == item[relation.field]
                assert related is None or set(relation.model.shown) <= set(related)
            assert items == known

    def test_what_is_not_declared_is_as_unknown(self, client: Client) -> None:
        model, query = self.model, self.model.queryable
        shown = (*model.shown, *model.computed)
        written = model.write_schema["properties"]
        for name in dict.fromkeys((*shown, *written, *model.hidden)):
            probes = [] if name in query.filterable else FILTERS[:]
            probes += [] if name in ("id", *query.sortable) else SORTS
            probes += [] if name in model.relations else ["expand={}"]
            probes += [] if name in shown else ["fields={}", "fields=id,{}"]
            for probe in probes:
                mine = self.refusal(client, probe.format(name))
                unknown = str(self.refusal(client, probe.format(UNKNOWN)))
                is_told = re.search(rf"\b{name}\b", unknown)
                assert name in shown or not is_told
                names = rf"\b({name}|{UNKNOWN})\b"
                assert re.sub(names, "", str(mine)) == re.sub(names, "", unknown)

    def test_an_index_is_behind_each_declaration(self, client: Client) -> None:
        record, model = self.make(client), self.model
        with client.application.app_context():
            if issubclass(model, SqlModel):
                self.check_sql_indexes(client, model.table().name, record)
            elif issubclass(model, RedisModel):
                place = model.place(record["id"])
                prefix = model.prefix_of(place)
                for name in model.indexed:
                    (member,) = redis_store.zrange(f"{prefix}by:{name}", 0, -1)
                    assert member.decode().endswith(f"\0{place}")
                client.delete(self.item(record))
                is_kept = model.read_many([record["id"]])
                left = redis_store.keys(f"{prefix}*")
                # What expires by itself.
                left = [one for one in left if b":promise:" not in one]
                assert is_kept or not left

    def check_sql_indexes(self, client: Client, table: str, record: JSON) -> None:
        """Check the indexes of a table, and the query plans, with the declarations."""
        indexes = inspect(sql.session.connection()).get_indexes(table)
        columns = {one["name"]: one["column_names"] for one in indexes}
        query_options = self.model.queryable
        for name in self.model.indexed:
            index = f"ix_{table}_{name}_id"
            known = "it is made by a migration: flask db migrate -m indexes"
            assert columns.get(index) == [name, "id"], f"no index {index}; {known}"
            queries = [f"sort={name}"] if name in query_options.sortable else []
            if name in query_options.filterable and record[name] is not None:
                queries += [urlencode({name: as_text(record[name]), "sort": "id"})]
            # A condition of the scope may have a better index.
            for query in () if self.model.has_scope else queries:
                with selects(client.application) as seen:
                    client.get(f"{self.url}?{query}")
                assert seen
                for statement, parameters in seen:
                    plan = plan_of(statement, parameters)
                    assert plan is None or index in plan, query
                    # A page has the same cost at any depth only without a sort step.
                    assert not plan or not re.search("Sort|B-TREE", plan), query
