"""The conformance suite on models with the rules of ordinary features, on each store:
owners, soft delete, hooks, rules across fields, computed and unique fields, nested
resources, and keys that the clients give."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, ClassVar

import pytest
from sqlalchemy import Date, ForeignKey, MetaData
from sqlalchemy.orm import Mapped, mapped_column

from conftest import build_app, undone
from myapp.core.errors import problem_at
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.http.request import path_of_request
from myapp.core.model import Change, Computed, Key, Model, Relation, unscoped
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.verbs import routes_from_model
from myapp.core.schema.strict_json import JSON
from myapp.core.stores import commit
from myapp.core.stores.redis import RedisModel
from myapp.core.stores.sql import SqlModel, UtcDateTime, Varchar, sql
from myapp.core.stores.transaction import StaleRead
from myapp.core.testing import Client, ResourceContract
from myapp.core.testing.bad_input import BadInput
from myapp.core.testing.batches import Batches
from myapp.core.testing.conflicts import Conflicts
from myapp.core.testing.crud import Crud
from myapp.core.testing.planted import Owned, body_schema
from myapp.core.testing.preconditions import Preconditions
from myapp.core.testing.properties import Properties
from myapp.core.testing.queries import Queries
from myapp.core.testing.strangers import Strangers
from myapp.core.wiring import mount

METADATA = MetaData(naming_convention=sql.metadata.naming_convention)
DAY = {"type": "string", "format": "date"}
TEXT = {"type": "string", "minLength": 1, "maxLength": 40}
SLUG = Key(
    {
        "type": "string",
        "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$",
        "maxLength": 60,
        "examples": ["first-page"],
    }
)
NUMBER = Key({"type": "integer", "minimum": -(2**40), "maximum": 2**40})


class Billed(Owned):
    """The rules of invoices: each has an owner, is not lost when it is deleted, and has
    a unique number and days in order; each change writes a line."""

    lines: ClassVar[type[Model]]
    unique = ("number",)
    filterable = ("number", "due")
    sortable = ("due",)
    searchable = ("note",)
    computed = {
        "days": Computed(
            {"type": "integer"}, lambda one: (one["due"] - one["issued"]).days
        )
    }

    @classmethod
    def check(cls, document: Any, before: Any) -> Iterator[dict[str, str]]:
        """It is not due before it is issued, and its day of issue stays."""
        if document["due"] < document["issued"]:
            yield problem_at("/due", "must not be before issued", "order")
        if before is not None and before["issued"] != document["issued"]:
            yield problem_at("/issued", "must not change", "constant")

    @classmethod
    def after_write(cls, change: Change) -> None:
        """Write a line."""
        document = change.after or change.before or {}
        with unscoped():
            cls.lines.create({"text": f"{change.kind} {document['issued']}"})


class Titled:
    """The rules of pages: clients give slugs as ids, and a hook trims titles."""

    key = SLUG
    filterable = ("title", "rank")
    sortable = ("title",)

    @classmethod
    def before_write(cls, change: Change) -> None:
        """Trim the title."""
        if change.after is not None:
            change.after["title"] = change.after["title"].strip() or "untitled"


INVOICE = {"number": TEXT, "issued": DAY, "due": DAY, "note": TEXT}
PAGE = {
    "title": TEXT,
    "rank": {"type": "integer", "minimum": 0, "maximum": 99},
}


class RuleLine(SqlModel):
    """A line in SQL."""

    __tablename__ = "rule_lines"
    metadata: ClassVar[MetaData] = METADATA
    write_schema = body_schema("rule-line", ["text"], text=TEXT)
    text: Mapped[str] = mapped_column(Varchar(40))


class RuleInvoice(Billed, SqlModel):
    """An invoice in SQL."""

    __tablename__ = "rule_invoices"
    metadata: ClassVar[MetaData] = METADATA
    lines = RuleLine
    write_schema = body_schema("rule-invoice", ["number", "issued", "due"], **INVOICE)
    number: Mapped[str] = mapped_column(Varchar(40))
    issued: Mapped[date] = mapped_column(Date)
    due: Mapped[date] = mapped_column(Date)
    note: Mapped[str | None] = mapped_column(Varchar(40))
    owner_id: Mapped[str | None] = mapped_column(Varchar(50))
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RuleSite(SqlModel):
    """What pages are below, in SQL."""

    __tablename__ = "rule_sites"
    metadata: ClassVar[MetaData] = METADATA
    key = NUMBER
    write_schema = body_schema("rule-site", ["name"], name=TEXT)
    name: Mapped[str] = mapped_column(Varchar(40))


class RulePage(Titled, SqlModel):
    """A page in SQL."""

    __tablename__ = "rule_pages"
    metadata: ClassVar[MetaData] = METADATA
    scoped_by = ("site_id",)
    server_properties = {"site_id": NUMBER.schema}
    relations = {"site": Relation("site_id", RuleSite)}
    write_schema = body_schema("rule-page", ["title"], **PAGE)
    title: Mapped[str] = mapped_column(Varchar(40))
    rank: Mapped[int | None]
    site_id: Mapped[int | None] = mapped_column(
        RuleSite.table().c.id.type, ForeignKey("rule_sites.id")
    )


class RuleNote(RedisModel):
    """A line in Redis."""

    name = "rule-note"
    slot = "rule"
    write_schema = body_schema("rule-note", ["text"], text=TEXT)


class RuleBill(Billed, RedisModel):
    """An invoice in Redis."""

    name = "rule-bill"
    slot = "rule"
    lines = RuleNote
    write_schema = body_schema("rule-bill", ["number", "issued", "due"], **INVOICE)


class RuleHost(RedisModel):
    """What pages are below, in Redis."""

    name = "rule-host"
    key = NUMBER
    write_schema = body_schema("rule-host", ["name"], name=TEXT)


class RuleLeaf(Titled, RedisModel):
    """A page in Redis."""

    name = "rule-leaf"
    scoped_by = ("site_id",)
    server_properties = {"site_id": NUMBER.schema}
    relations = {"site": Relation("site_id", RuleHost)}
    write_schema = body_schema("rule-leaf", ["title"], **PAGE)


MODELS: dict[str, dict[str, type[Model]]] = {
    "sql": {"invoices": RuleInvoice, "sites": RuleSite, "pages": RulePage},
    "redis": {"invoices": RuleBill, "sites": RuleHost, "pages": RuleLeaf},
}


def invoice_body(number: int = 0) -> JSON:
    """The body of an invoice."""
    return {
        "number": f"number {number}",
        "issued": f"20{10 + number % 80}-02-01",
        "due": f"20{10 + number % 80}-03-{1 + number % 28:02d}",
        "note": ("Paid later.", "Thanks.")[number % 2],
    }


def page_body(number: int = 0) -> JSON:
    """The body of a page."""
    return {"id": f"page-{number}", "title": f"Page {number}", "rank": number % 100}


def site_body(number: int = 0) -> JSON:
    """The body of a site."""
    return {"id": 7 - number, "name": f"Site {number}"}


def add_rules(app: App) -> App:
    """Mount the models on an application."""
    blueprint, api = feature_blueprint("rules", __name__)
    for store, models in MODELS.items():
        for name, model in models.items():
            namespace = api.namespace(f"{store}-{name}", path=f"/{store}")
            below = "/sites/<site_id>/pages" if name == "pages" else f"/{name}"
            routes_from_model(namespace, model, below)
    mount(app, Feature("rules", "/rules", "public"), blueprint)
    with app.app_context():
        METADATA.create_all(sql.engine)
    return app


@pytest.fixture(scope="module")
def planted(
    servers: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """An application with the models of both stores."""
    for app in build_app(servers, tmp_path_factory.mktemp("rules")):
        yield add_rules(app)


@pytest.fixture
def app(planted: App) -> Iterator[App]:
    """That application; what a test writes is undone."""
    yield from undone(planted)


@pytest.fixture
def own_app(own_app: App) -> App:
    """An application with the models, on a separate database."""
    return add_rules(own_app)


class Invoices(ResourceContract):
    """Records of one owner each, with a unique number."""

    body = invoice_body
    caller = "ann"
    stranger = "bob"


class TestSqlInvoices(Invoices):
    """In SQL."""

    url = "/rules/sql/invoices/"
    model = RuleInvoice


class TestRedisInvoices(Invoices):
    """In Redis."""

    url = "/rules/redis/invoices/"
    model = RuleBill


class Pages(Batches, Properties, Crud, Queries, Conflicts, Preconditions):
    """Nested records, whose ids are slugs."""

    body = page_body
    set_by_hooks = ("title",)
    sites: ClassVar[type[Model]]
    base: str

    def prepare(self, client: Client) -> None:
        """Store the site that they are below."""
        with self.app.app_context():
            id = self.sites.create({"id": 1, "name": "Home"}).id
            commit()
        self.url = f"{self.base}{id}/pages/"


class TestSqlPages(Pages):
    """In SQL."""

    base = "/rules/sql/sites/"
    model, sites = RulePage, RuleSite


class TestRedisPages(Pages):
    """In Redis."""

    base = "/rules/redis/sites/"
    model, sites = RuleLeaf, RuleHost


class Sites(Batches, Crud, BadInput, Queries, Conflicts, Strangers):
    """Records whose ids are integers of the client."""

    body = site_body


class TestSqlSites(Sites):
    """In SQL."""

    url = "/rules/sql/sites/"
    model = RuleSite


class TestRedisSites(Sites):
    """In Redis."""

    url = "/rules/redis/sites/"
    model = RuleHost


@pytest.fixture
def client(app: App) -> Any:
    """A client of the models, for a test that is no part of the suite."""
    return app.test_client()


@pytest.mark.parametrize("store", MODELS)
@pytest.mark.parametrize("site", ["abc", "1.5", "-0", "9" * 30, str(2**41)])
def test_a_path_that_cannot_exist_is_a_404(client: Any, store: str, site: str) -> None:
    url = f"/rules/{store}/sites/{site}/pages/"
    client.get(url, expect=404)
    client.post(url, json=page_body(), expect=404)


@pytest.mark.parametrize("store", MODELS)
def test_a_parent_has_its_own_kind_of_id_in_the_document(
    client: Any, store: str
) -> None:
    paths = client.get("/openapi.json").json["paths"]
    operation = paths[f"/rules/{store}/sites/{{site_id}}/pages/{{id}}"]["get"]
    schemas = {one["name"]: one["schema"] for one in operation["parameters"]}
    assert schemas["site_id"]["type"] == "integer"
    assert schemas["id"]["pattern"] == SLUG.schema["pattern"]


@pytest.mark.parametrize("store", MODELS)
def test_a_record_that_was_made_again_is_another_one(own_app: App, store: str) -> None:
    model, client = MODELS[store]["sites"], own_app.test_client()
    url = f"/rules/{store}/sites/"
    first = client.post(url, json={"id": 7, "name": "old"})
    with own_app.app_context():
        old = model.get_or_404(7)
    client.delete(f"{url}7")
    made = client.post(url, json={"id": 7, "name": "new"})
    new, tag = made.json, first.headers["ETag"]
    assert made.headers["ETag"] != tag
    client.get(f"{url}7", headers={"If-None-Match": tag}, expect=200)
    client.put(f"{url}7", json={"name": "x"}, headers={"If-Match": tag}, expect=412)
    for write in (lambda: old.write({"name": "lost"}), old.delete):
        with own_app.app_context(), pytest.raises(StaleRead):
            write()
            commit()
    assert client.get(f"{url}7").json == new


@pytest.mark.parametrize("store", MODELS)
def test_a_list_of_nobody_is_empty_in_every_order(client: Any, store: str) -> None:
    for query in ("", "?sort=due", "?number[ne]=x&sort=-due&count=exact"):
        page = client.get(f"/rules/{store}/invoices/{query}").json
        assert page["items"] == [] and not page.get("total")


def test_a_header_has_the_path_encoded(app: App) -> None:
    with app.test_request_context("/a b/ж%2F%0A/?x=1"):
        assert path_of_request() == "/a%20b/%D0%B6/%0A/"
