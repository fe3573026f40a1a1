"""Violated constraints: the error of each engine, and the response to the client."""

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    MetaData,
    UniqueConstraint,
    insert,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.verbs import routes_from_model
from myapp.core.schema.derive import derive_read_schema
from myapp.core.schema.strict_json import JSON
from myapp.core.stores.sql.constraints import (
    explain_delete,
    explain_write,
    read_violation,
)
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.sql.types import Id, Varchar
from myapp.core.testing.planted import assert_bare
from myapp.core.wiring import mount

HOUSES, CATS = "/planted/houses/", "/planted/cats/"
METADATA = MetaData(naming_convention=sql.metadata.naming_convention)
NOBODY = "0190163d-8694-739b-aea5-966c26f8ad91"


class PlantedHouse(SqlModel):
    """The target of references."""

    __tablename__ = "planted_houses"
    metadata: ClassVar[MetaData] = METADATA
    write_schema = {
        "$id": "/schemas/planted-house.write.json",
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    read_schema = derive_read_schema(write_schema)


class PlantedCat(SqlModel):
    """A row with a constraint of each kind."""

    __tablename__ = "planted_cats"
    metadata: ClassVar[MetaData] = METADATA
    __table_args__ = (UniqueConstraint("name", "colour"),)
    write_schema = {
        "$id": "/schemas/planted-cat.write.json",
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 100},
            "colour": {"type": "string", "maxLength": 100},
            "chip": {"type": "string", "maxLength": 100},
            "lives": {"type": "integer"},
            "home": {"type": "string", "format": "uuid"},
            "holiday": {"type": "string", "format": "uuid"},
        },
        "additionalProperties": False,
    }
    read_schema = derive_read_schema(write_schema)

    name: Mapped[str] = mapped_column(Varchar(100))
    colour: Mapped[str | None] = mapped_column(Varchar(100))
    chip: Mapped[str | None] = mapped_column(Varchar(100), unique=True)
    lives: Mapped[int | None]
    home: Mapped[str | None] = mapped_column(Id, ForeignKey("planted_houses.id"))
    holiday: Mapped[str | None] = mapped_column(Id, ForeignKey("planted_houses.id"))


TABLE = PlantedCat.table()
TABLE.append_constraint(CheckConstraint(TABLE.c.lives <= 9, name="lives"))

# The fields in which a second cat differs, the kind of constraint that this violates,
# and its columns. A sent value must not be read as the name of a constraint.
QUOTED = "' for key 'it'"
BROKEN: list[tuple[JSON, str, set[str]]] = [
    ({"colour": "red"}, "unique", {"/name", "/colour"}),
    ({"chip": QUOTED}, "unique", {"/chip"}),
    ({"lives": 10}, "check", {"/lives"}),
    ({"home": NOBODY}, "foreign key", {"/home"}),
    ({"holiday": NOBODY}, "foreign key", {"/holiday"}),
]
OTHER = {"colour": "blue", "chip": "2"}


@pytest.fixture
def client(own_app: App) -> Any:
    """A client of both models, with their tables in the database."""
    blueprint, api = feature_blueprint("planted", __name__)
    routes_from_model(api.namespace("houses"), PlantedHouse)
    routes_from_model(api.namespace("cats"), PlantedCat)
    mount(own_app, Feature("planted", "/planted", "public"), blueprint)
    with own_app.app_context():
        METADATA.create_all(sql.engine)
    return own_app.test_client()


@pytest.fixture
def cat(client: Any) -> JSON:
    """The body of a stored cat, with a stored home."""
    home = client.post(HOUSES, json={}).json["id"]
    body = {"name": "Tom", "colour": "red", "chip": QUOTED, "lives": 9, "home": home}
    client.post(CATS, json=body)
    return body


@pytest.mark.parametrize(("change", "kind", "pointers"), BROKEN)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_violation_is_told_with_its_kind_and_its_columns(
    client: Any, cat: JSON, change: JSON, kind: str, pointers: set[str], method: str
) -> None:
    where = CATS
    if method == "PUT":
        where += client.post(CATS, json={**cat, **OTHER}).json["id"]
    body = {**cat, **OTHER, **change}
    before = client.get(CATS).json
    reference = kind == "foreign key"
    expect = 422 if reference else 409
    response = client.open(where, method=method, json=body, expect=expect).json
    kinds = {error["pointer"]: error["keyword"] for error in response["errors"]}
    assert kinds == dict.fromkeys(pointers, "reference" if reference else kind)
    assert QUOTED not in str(response)
    assert client.get(CATS).json == before


def test_of_two_dangling_references_one_is_told_at_least(
    client: Any, cat: JSON
) -> None:
    """PostgreSQL and MariaDB stop at the first, SQLite does not name the reference."""
    body = {**cat, **OTHER, "home": NOBODY, "holiday": NOBODY}
    errors = client.post(CATS, json=body, expect=422).json["errors"]
    assert {error["pointer"] for error in errors} & {"/home", "/holiday"}


def test_null_in_a_column_that_has_none_is_our_mistake(client: Any, cat: JSON) -> None:
    """The schema must refuse it, so it is a 500, not an error of the client."""
    del cat["name"]
    assert_bare(client.post(CATS, json={**cat, **OTHER}, expect=500), "null", "name")


def test_what_others_refer_to_cannot_be_deleted(client: Any, cat: JSON) -> None:
    response = client.delete(f"{HOUSES}{cat['home']}", expect=409)
    assert response.json["type"] == "/problems/conflict"
    first = client.get(CATS).json["items"][0]
    client.delete(f"{CATS}{first['id']}")
    client.delete(f"{HOUSES}{cat['home']}")


@pytest.mark.parametrize(
    ("change", "kind"),
    [*((change, kind) for change, kind, _ in BROKEN), ({"name": None}, "not null")],
)
@pytest.mark.usefixtures("cat")
def test_each_engine_is_understood(
    own_app: App, client: Any, change: JSON, kind: str
) -> None:
    cat = client.get(CATS).json["items"][0]
    stored = {**PlantedCat.stored(cat), "id": NOBODY, **OTHER, **change}
    with own_app.test_request_context(method="POST"):
        now = datetime.now(UTC)
        row = {**stored, "created_at": now, "updated_at": now}
        with pytest.raises(DBAPIError) as caught:
            sql.session.execute(insert(PlantedCat.table()).values(row))
    violation = read_violation(caught.value)
    assert violation is not None and violation.kind == kind
    if violation.name:
        assert PlantedCat.__tablename__ in violation.name


def test_another_error_is_no_violation(own_app: App) -> None:
    with own_app.test_request_context(method="POST"):
        with pytest.raises(DBAPIError) as caught:
            sql.session.execute(text("SELECT nothing FROM nowhere"))
    assert read_violation(caught.value) is None
    assert explain_write(caught.value, PlantedCat.table(), {}, ()) is caught.value
    assert explain_delete(caught.value) is caught.value
