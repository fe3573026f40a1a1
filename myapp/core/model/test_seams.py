"""What a schema cannot say, on each store, over HTTP: scope, nested resources, hooks,
rules across fields, computed fields. No seam knows the store."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, ClassVar

import pytest
from sqlalchemy import Date, ForeignKey, MetaData
from sqlalchemy.orm import Mapped, mapped_column

from conftest import build_app, undone
from myapp.core.errors import Problem, problem_at
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.http.description import describe
from myapp.core.model import (
    Change,
    Computed,
    Model,
    Relation,
    after_write,
    equal,
    including,
    unscoped,
)
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.lists import describe_list, respond_list
from myapp.core.rest.resource import Resource
from myapp.core.rest.verbs import routes_from_model
from myapp.core.schema.strict_json import JSON
from myapp.core.stores import commit
from myapp.core.stores.redis import RedisModel
from myapp.core.stores.sql import Id, SqlModel, UtcDateTime, Varchar, sql
from myapp.core.testing.callers import ToyAuthenticator, by
from myapp.core.testing.planted import Owned, body_schema
from myapp.core.wiring import mount

METADATA = MetaData(naming_convention=sql.metadata.naming_convention)
ALICE, BOB = by("alice"), by("bob")
DAY = {"type": "string", "format": "date"}
TEXT = {"type": "string", "minLength": 1, "maxLength": 50}


class Lines:
    """What a hook writes beside each change, in the same transaction."""

    lines: ClassVar[type[Model]]


class Billed(Owned):
    """The rules of invoices."""

    lines: ClassVar[type[Model]]
    filterable = ("number",)
    sortable = ("number",)
    computed = {
        "days": Computed(
            {"type": "integer"}, lambda one: (one["due"] - one["issued"]).days
        )
    }

    @classmethod
    def check(cls, document: Any, before: Any) -> Iterator[dict[str, str]]:
        """It is not due before it is issued, and its number stays."""
        if document["due"] < document["issued"]:
            yield problem_at("/due", "must not be before issued", "order")
        if before is not None and before["number"] != document["number"]:
            yield problem_at("/number", "must not change", "constant")

    @classmethod
    def before_write(cls, change: Change) -> None:
        """Refuse one number."""
        if change.after is not None and change.after["number"] == "refused":
            raise Problem("conflict", "This number is refused.")

    @classmethod
    def after_write(cls, change: Change) -> None:
        """Write a line."""
        document = change.after or change.before or {}
        with unscoped():
            cls.lines.create({"text": f"{change.kind} {document['number']}"})


INVOICE = {"number": TEXT, "issued": DAY, "due": DAY}


class SeamLine(SqlModel):
    """A line in SQL."""

    __tablename__ = "seam_lines"
    metadata: ClassVar[MetaData] = METADATA
    write_schema = body_schema("seam-line", ["text"], text=TEXT)
    text: Mapped[str] = mapped_column(Varchar(50))


class SeamInvoice(Billed, SqlModel):
    """An invoice in SQL; its number is unique."""

    __tablename__ = "seam_invoices"
    metadata: ClassVar[MetaData] = METADATA
    lines = SeamLine
    write_schema = body_schema("seam-invoice", [*INVOICE], **INVOICE)
    number: Mapped[str] = mapped_column(Varchar(50), unique=True)
    issued: Mapped[date] = mapped_column(Date)
    due: Mapped[date] = mapped_column(Date)
    owner_id: Mapped[str | None] = mapped_column(Varchar(50))
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SeamPayment(SqlModel):
    """A payment in SQL, which refers to an invoice."""

    __tablename__ = "seam_payments"
    metadata: ClassVar[MetaData] = METADATA
    relations = {"invoice": Relation("invoice_id", SeamInvoice)}
    write_schema = body_schema(
        "seam-payment", [], invoice_id={"type": "string", "format": "uuid"}
    )
    invoice_id: Mapped[str | None] = mapped_column(Id, ForeignKey("seam_invoices.id"))


class SeamTeam(SqlModel):
    """A team in SQL."""

    __tablename__ = "seam_teams"
    metadata: ClassVar[MetaData] = METADATA
    write_schema = body_schema("seam-team", ["name"], name=TEXT)
    name: Mapped[str] = mapped_column(Varchar(50))


class SeamMember(SqlModel):
    """A member of a team in SQL."""

    __tablename__ = "seam_members"
    metadata: ClassVar[MetaData] = METADATA
    scoped_by = ("team_id",)
    server_properties = {"team_id": {"type": "string", "format": "uuid"}}
    relations = {"team": Relation("team_id", SeamTeam)}
    write_schema = body_schema("seam-member", ["name"], name=TEXT)
    name: Mapped[str] = mapped_column(Varchar(50))
    team_id: Mapped[str | None] = mapped_column(Id, ForeignKey("seam_teams.id"))


class SeamNote(RedisModel):
    """A line in Redis."""

    name = "seam-note"
    slot = "seam"
    write_schema = body_schema("seam-note", ["text"], text=TEXT)


class SeamBill(Billed, RedisModel):
    """An invoice in Redis."""

    name = "seam-bill"
    slot = "seam"
    lines = SeamNote
    write_schema = body_schema("seam-bill", [*INVOICE], **INVOICE)


class SeamTip(RedisModel):
    """A payment in Redis."""

    name = "seam-tip"
    relations = {"invoice": Relation("invoice_id", SeamBill)}
    write_schema = body_schema(
        "seam-tip", [], invoice_id={"type": "string", "format": "uuid"}
    )


class SeamSquad(RedisModel):
    """A team in Redis."""

    name = "seam-squad"
    write_schema = body_schema("seam-squad", ["name"], name=TEXT)


class SeamMate(RedisModel):
    """A member of a team in Redis."""

    name = "seam-mate"
    scoped_by = ("team_id",)
    server_properties = {"team_id": {"type": "string", "format": "uuid"}}
    relations = {"team": Relation("team_id", SeamSquad)}
    write_schema = body_schema("seam-mate", ["name"], name=TEXT)


MODELS: dict[str, dict[str, type[Model]]] = {
    "sql": {
        "lines": SeamLine,
        "invoices": SeamInvoice,
        "payments": SeamPayment,
        "teams": SeamTeam,
        "members": SeamMember,
    },
    "redis": {
        "lines": SeamNote,
        "invoices": SeamBill,
        "payments": SeamTip,
        "teams": SeamSquad,
        "members": SeamMate,
    },
}


def restore_of(model: type[Model]) -> type[Resource]:
    """A route by hand that brings back a deleted record."""

    class Restore(Resource):
        @describe({200: model.read_schema}, errors=(400, 404))
        def post(self, id: str) -> Any:
            """Bring a deleted record back."""
            with including("deleted"):
                return model.get_or_404(id).write({"deleted_at": None}).as_json()

    Restore.__name__ = f"Restore{model.__name__}"
    return Restore


def list_of(model: type[Model]) -> type[Resource]:
    """A route by hand that lists some records."""

    class Early(Resource):
        @describe_list(model, errors=(400, 404), id=f"early_{model.__name__.lower()}")
        def get(self, issued: str) -> Any:
            """List the invoices of a day, a page at a time."""
            return respond_list(model, equal("issued", date.fromisoformat(issued)))

    Early.__name__ = f"Early{model.__name__}"
    return Early


@pytest.fixture(scope="module")
def planted(
    servers: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """An application with the models of both stores."""
    for app in build_app(servers, tmp_path_factory.mktemp("seams")):
        ToyAuthenticator().add_to(app)
        blueprint, api = feature_blueprint("seams", __name__)
        for store, models in MODELS.items():
            for name, model in models.items():
                namespace = api.namespace(f"{store}-{name}", path=f"/{store}")
                path = "/teams/<uuid:team_id>/members" if name == "members" else ""
                routes_from_model(namespace, model, path or f"/{name}")
                if name == "invoices":
                    url = f"/{name}/<id>/restore"
                    namespace.route(url)(restore_of(model))
                    url = f"/{name}-of/<string:issued>"
                    namespace.route(url)(list_of(model))
        mount(app, Feature("seams", "/seams", "public"), blueprint)
        with app.app_context():
            METADATA.create_all(sql.engine)
        yield app


@pytest.fixture
def client(planted: App) -> Iterator[Any]:
    """A client of that application; what it writes is undone."""
    for app in undone(planted):
        yield app.test_client()


@pytest.fixture(params=list(MODELS))
def base(request: pytest.FixtureRequest) -> str:
    """The URL of the resources of one store."""
    return f"/seams/{request.param}"


def invoice(number: str, issued: str = "2026-01-01", due: str = "2026-01-31") -> JSON:
    """The body of an invoice."""
    return {"number": number, "issued": issued, "due": due}


def lines(client: Any, base: str) -> list[str]:
    """What the hook has written, in order."""
    items = client.get(f"{base}/lines/?sort=id").json["items"]
    return [item["text"] for item in items]


def post(client: Any, base: str, number: str, **more: Any) -> Any:
    """A stored invoice of Alice."""
    url = f"{base}/invoices/"
    return client.post(url, json=invoice(number, **more), headers=ALICE).json


def test_each_owner_has_its_own_list(client: Any, base: str) -> None:
    url = f"{base}/invoices/"
    mine = post(client, base, "a1")
    client.post(url, json=invoice("b1"), headers=BOB)
    assert "owner_id" not in mine and "deleted_at" not in mine
    for query in ("", "?sort=number", "?number[gte]=a", "?sort=-number&count=exact"):
        page = client.get(f"{url}{query}", headers=ALICE).json
        assert page["items"] == [mine], query
        assert page.get("total", 1) == 1
    assert client.get(f"{url}?count=exact").json["total"] == 0


def test_a_record_of_another_owner_does_not_exist(client: Any, base: str) -> None:
    mine = post(client, base, "a1")
    url = f"{base}/invoices/{mine['id']}"
    for headers in (BOB, {}):
        client.get(url, headers=headers, expect=404)
        client.put(url, json=invoice("x"), headers=headers, expect=404)
        client.patch(url, json={"due": "2026-02-01"}, headers=headers, expect=404)
        client.delete(url, headers=headers, expect=404)
        for batch in ({"update": [{"id": mine["id"]}]}, {"delete": [mine["id"]]}):
            sent = {"json": batch, "headers": headers, "expect": 422}
            problem = client.post(f"{base}/invoices/batch", **sent).json
            assert problem["errors"][0]["detail"] == "refers to nothing"
    assert client.get(url, headers=ALICE).json == mine
    assert lines(client, base) == ["create a1"]


def test_a_caller_without_a_scope_creates_nothing(client: Any, base: str) -> None:
    client.post(f"{base}/invoices/", json=invoice("n1"), expect=403)
    assert lines(client, base) == []


def test_references_and_expand_stay_in_scope(client: Any, base: str) -> None:
    mine = post(client, base, "a1")
    url, body = f"{base}/payments/", {"invoice_id": mine["id"]}
    client.post(url, json=body, headers=BOB, expect=422)
    client.post(url, json=body, headers=ALICE)
    seen = client.get(f"{url}?expand=invoice", headers=ALICE).json["items"]
    assert seen[0]["invoice"]["number"] == "a1"
    hidden = client.get(f"{url}?expand=invoice", headers=BOB).json["items"]
    assert hidden[0]["invoice"] is None


def test_what_is_deleted_can_be_restored(client: Any, base: str) -> None:
    mine = post(client, base, "a1")
    url = f"{base}/invoices/{mine['id']}"
    client.delete(url, headers=ALICE)
    client.get(url, headers=ALICE, expect=404)
    assert client.get(f"{base}/invoices/", headers=ALICE).json["items"] == []
    client.post(f"{url}/restore", headers=BOB, expect=404)
    back = client.post(f"{url}/restore", headers=ALICE, expect=200).json
    assert {**back, "version": 1, "updated_at": mine["updated_at"]} == mine
    assert client.get(url, headers=ALICE).json == back
    assert lines(client, base) == ["create a1", "delete a1", "update a1"]


def test_pages_of_a_scope_are_whole(client: Any, base: str) -> None:
    url, numbers = f"{base}/invoices/", []
    for number in range(5):
        numbers.append(post(client, base, f"a{number}")["number"])
        client.post(url, json=invoice(f"b{number}"), headers=BOB)
    for sort in ("id", "number"):
        seen, cursor = [], ""
        while True:
            asked = f"{url}?sort={sort}&limit=2{cursor}"
            page = client.get(asked, headers=ALICE).json
            seen += [item["number"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert seen == numbers


def test_a_rule_across_fields_is_a_400_with_a_pointer(client: Any, base: str) -> None:
    mine = post(client, base, "a1")
    late = invoice("a2", issued="2026-02-01")
    url, item = f"{base}/invoices/", f"{base}/invoices/{mine['id']}"
    expected = [
        {"pointer": "/due", "detail": "must not be before issued", "keyword": "order"}
    ]
    sent = {"headers": ALICE, "expect": 400}
    for method, where, body in (
        ("POST", url, late),
        ("PUT", item, {**late, "number": "a1"}),
        ("PATCH", item, {"due": "2025-12-31"}),
    ):
        problem = client.open(where, method=method, json=body, **sent).json
        assert problem["type"] == "/problems/invalid-body"
        assert problem["errors"] == expected
    both = {"number": "a9", "due": "2025-12-31"}
    errors = client.patch(item, json=both, **sent).json["errors"]
    assert [error["pointer"] for error in errors] == ["/due", "/number"]
    assert client.get(item, headers=ALICE).json == mine
    assert lines(client, base) == ["create a1"]


def test_a_json_patch_that_breaks_a_rule_is_a_422(client: Any, base: str) -> None:
    mine = post(client, base, "a1")
    patch = [{"op": "replace", "path": "/due", "value": "2025-12-31"}]
    kind = {"Content-Type": "application/json-patch+json"}
    url = f"{base}/invoices/{mine['id']}"
    sent = {"json": patch, "headers": {**ALICE, **kind}, "expect": 422}
    assert client.patch(url, **sent).json["errors"][0]["pointer"] == "/due"


def test_a_rule_points_into_a_batch(client: Any, base: str) -> None:
    mine = post(client, base, "a1")
    late = invoice("a3", issued="2026-02-01")
    for batch, pointers in (
        ({"create": [invoice("a2"), late]}, ["/create/1/due"]),
        ({"create": [late, invoice("a2"), late]}, ["/create/0/due", "/create/2/due"]),
        ({"update": [{"id": mine["id"], "due": "2025-12-31"}]}, ["/update/0/due"]),
    ):
        sent = {"json": batch, "headers": ALICE, "expect": 400}
        errors = client.post(f"{base}/invoices/batch", **sent).json["errors"]
        assert [error["pointer"] for error in errors] == pointers
    assert lines(client, base) == ["create a1"]


def test_a_hook_sees_each_change_of_a_batch(client: Any, base: str) -> None:
    mine, other = post(client, base, "a1"), post(client, base, "a2")
    batch = {
        "create": [invoice("a3"), invoice("a4")],
        "update": [{"id": mine["id"], "due": "2026-03-01"}],
        "delete": [other["id"]],
    }
    done = client.post(
        f"{base}/invoices/batch", json=batch, headers=ALICE, expect=200
    ).json
    assert done["update"][0]["days"] == 59
    wanted = ["create a1", "create a2", "create a3", "create a4", "update a1"]
    assert lines(client, base) == [*wanted, "delete a2"]


def test_a_hook_can_refuse_and_nothing_is_written(client: Any, base: str) -> None:
    sent = {"headers": ALICE, "expect": 409}
    url = f"{base}/invoices/"
    client.post(url, json=invoice("refused"), **sent)
    batch = {"create": [invoice("a1"), invoice("refused")]}
    problem = client.post(f"{url}batch", json=batch, **sent).json
    assert problem["errors"][0]["pointer"] == "/create/1"
    assert lines(client, base) == []
    assert client.get(url, headers=ALICE).json["items"] == []


def test_a_hook_is_called_on_the_command_line(
    client: Any, base: str, planted: App
) -> None:
    models = MODELS[base.rpartition("/")[2]]
    with planted.app_context():
        made = models["invoices"].create(invoice("c1"))
        commit()
        found = models["invoices"].list().items
        assert [item["id"] for item in found] == [made.id]
    assert lines(client, base) == ["create c1"]


def test_another_feature_hears_of_changes(client: Any, base: str) -> None:
    model, heard = MODELS[base.rpartition("/")[2]]["teams"], []

    def hear(sender: Any, change: Change) -> None:
        heard.append((sender, change.kind))

    url = f"{base}/teams/"
    client.post(url, json={"name": "silent"})
    with after_write.connected_to(hear, sender=model):
        team = client.post(url, json={"name": "heard"}).json
        client.patch(f"{url}{team['id']}", json={"name": "seen"})
        client.delete(f"{url}{team['id']}")
    assert heard == [(model, kind) for kind in ("create", "update", "delete")]


def test_a_computed_field_is_shown_and_refused(client: Any, base: str) -> None:
    mine = post(client, base, "a1")
    assert mine["days"] == 30
    url = f"{base}/invoices/"
    page = client.get(f"{url}?fields=days,number", headers=ALICE).json["items"]
    assert page == [{"days": 30, "number": "a1"}]
    body = {**invoice("a2"), "days": 1}
    for method, where, sent in (
        ("POST", url, body),
        ("PUT", f"{url}{mine['id']}", body),
        ("PATCH", f"{url}{mine['id']}", {"days": 1}),
    ):
        more: Any = {"json": sent, "headers": ALICE, "expect": 400}
        errors = client.open(where, method=method, **more).json["errors"]
        assert errors == [
            {
                "pointer": "/days",
                "detail": "is set by the server",
                "keyword": "additionalProperties",
            }
        ]
    document = client.get("/openapi.json").json["components"]["schemas"]
    name = "seam-invoice" if base.endswith("sql") else "seam-bill"
    assert document[name]["properties"]["days"]["readOnly"] is True
    assert "owner_id" not in document[name]["properties"]


def test_members_are_nested_under_their_team(client: Any, base: str) -> None:
    one, two = (
        client.post(f"{base}/teams/", json={"name": name}).json["id"] for name in "ab"
    )
    url, other = (f"{base}/teams/{id}/members/" for id in (one, two))
    made = client.post(url, json={"name": "Ada"})
    member = made.json
    assert member["team_id"] == one
    assert made.headers["Location"] == f"{url}{member['id']}"
    assert client.get(url).json["items"] == [member]
    assert client.get(f"{url}?expand=team").json["items"][0]["team"]["name"] == "a"
    assert client.get(other).json["items"] == []
    item, wrong = f"{url}{member['id']}", f"{other}{member['id']}"
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        body = {"json": {"name": "x"}} if method in ("PUT", "PATCH") else {}
        client.open(wrong, method=method, expect=404, **body)
    client.patch(item, json={"name": "Grace"})
    client.post(f"{url}batch", json={"create": [{"name": "Mary"}]}, expect=200)
    names = [one["name"] for one in client.get(f"{url}?sort=id").json["items"]]
    assert names == ["Grace", "Mary"]
    client.post(url, json={"name": "x", "team_id": two}, expect=400)
    client.delete(item)
    client.get(item, expect=404)


def test_a_path_to_a_parent_that_is_not_there_is_a_404(client: Any, base: str) -> None:
    nobody = f"{base}/teams/017f22e2-79b0-7cc3-98c4-dc0c0c07398f/members/"
    client.get(nobody, expect=404)
    client.post(nobody, json={"name": "x"}, expect=404)
    client.get(f"{base}/teams/no-uuid/members/", expect=404)


def test_a_path_variable_must_be_a_field_with_an_index() -> None:
    _, api = feature_blueprint("wrong", __name__)
    for model in (SeamTeam, SeamSquad):
        with pytest.raises(TypeError, match="scoped_by must name"):
            routes_from_model(api.namespace(model.__name__), model, "/<uuid:team_id>")


def test_a_key_replays_what_a_hook_wrote_once(client: Any, base: str) -> None:
    url, headers = f"{base}/invoices/", {**ALICE, "Idempotency-Key": "key"}
    first = client.post(url, json=invoice("a1"), headers=headers)
    again = client.post(url, json=invoice("a1"), headers=headers)
    assert again.data == first.data
    assert lines(client, base) == ["create a1"]


def test_a_list_by_hand_has_the_whole_list_query(client: Any, base: str) -> None:
    for number in range(3):
        post(client, base, f"a{number}")
    post(client, base, "other", issued="2026-01-02")
    url, seen = f"{base}/invoices-of/2026-01-01?limit=2&sort=number", []
    first = client.get(f"{url}&count=exact", headers=ALICE)
    assert first.json["total"] == 3 and first.headers["X-Total-Count"] == "3"
    page = client.get(url, headers=ALICE)
    while True:
        seen += [item["number"] for item in page.json["items"]]
        if page.json["next"] is None:
            break
        link = page.headers["Link"].partition("<")[2].partition(">")[0]
        page = client.get(link, headers=ALICE)
    assert seen == ["a0", "a1", "a2"]
    few = client.get(f"{url}&number=a1&fields=number", headers=ALICE).json["items"]
    assert few == [{"number": "a1"}]
    client.get(f"{url}&nothing=1", headers=ALICE, expect=400)
    client.get(f"{url}&cursor=forged", headers=ALICE, expect=400)
    assert client.get(url, headers=BOB).json["items"] == []
    path = f"{base}/invoices-of/{{issued}}"
    operation = client.get("/openapi.json").json["paths"][path]["get"]
    names = {parameter["name"] for parameter in operation["parameters"]}
    assert {"issued", "limit", "cursor", "sort", "number", "number[gte]"} <= names


def test_an_unknown_parameter_of_a_record_lists_those_of_a_record(
    client: Any, base: str
) -> None:
    mine = post(client, base, "a1")
    url = f"{base}/invoices/{mine['id']}?limit=1"
    problem = client.get(url, headers=ALICE, expect=400).json
    assert problem["errors"][0]["detail"] == "is unknown; known are fields"
