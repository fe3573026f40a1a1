"""The list query on models with every kind of field, on both stores: its results, their
order, pages and refusals."""

import re
import secrets
import sys
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import takewhile
from random import Random
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from sqlalchemy import BigInteger, Date, Double, ForeignKey, MetaData
from sqlalchemy.orm import Mapped, mapped_column

from conftest import build_app, undone
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.model.model import Model
from myapp.core.model.record import Relation
from myapp.core.query.search import fold
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.verbs import routes_from_model
from myapp.core.schema.strict_json import JSON
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.model import RedisModel
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.sql.types import ExactDecimal, Id, UtcDateTime, Varchar
from myapp.core.testing import Client
from myapp.core.testing.expected import (
    COMPARE,
    Records,
    as_text,
    in_order,
    kind_of,
    operators_of,
    passes,
    sort_text,
    walk,
)
from myapp.core.testing.queries import Queries
from myapp.core.wiring import mount

METADATA = MetaData(naming_convention=sql.metadata.naming_convention)
TEXT = {"type": "string", "maxLength": 100}
SECRET = {**TEXT, "writeOnly": True}
FIELDS: dict[str, JSON] = {
    "label": TEXT,
    "rank": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "note": TEXT,
    "size": {"type": "integer"},
    "weight": {"type": "number"},
    "flag": {"type": "boolean"},
    "day": {"type": "string", "format": "date"},
    "moment": {"type": "string", "format": "date-time"},
    "price": {
        "type": "string",
        "format": "decimal",
        "pattern": r"^-?(0|[1-9]\d{0,7})\.\d\d$",
    },
    "code": {"type": "string", "format": "uuid"},
    "kind": {"type": "string", "enum": ["alpha", "Beta", "gamma"], "maxLength": 10},
    "owner_id": {"type": "string", "format": "uuid"},
    "secret": SECRET,
}


def write_schema(name: str, properties: JSON, *required: str) -> JSON:
    """A write schema."""
    return {
        "$id": f"/schemas/planted-{name}.write.json",
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def is_cased(character: str) -> bool:
    """Whether a character has another case."""
    return character.lower() != character or character.upper() != character


def folds(word: str, text: str) -> bool:
    """Whether a text has a word, in any case."""
    return "".join(map(fold, word)) in "".join(map(fold, text))


class Declared:
    """The declarations for queries of both models; a mixin, so that they are equal."""

    filterable = tuple(name for name in FIELDS if name != "secret")
    sortable = (*filterable[:-1], "created_at")
    searchable = ("label", "note")


class PlantedOwner(SqlModel):
    """The target of a reference from a row."""

    __tablename__ = "planted_owners"
    metadata: ClassVar[MetaData] = METADATA
    write_schema = write_schema("owner", {"secret": SECRET})

    secret: Mapped[str | None] = mapped_column(Varchar(100))


class PlantedThing(Declared, SqlModel):
    """A row with a field of every kind."""

    __tablename__ = "planted_things"
    metadata: ClassVar[MetaData] = METADATA
    relations = {"owner": Relation("owner_id", PlantedOwner)}
    write_schema = write_schema("thing", FIELDS, "label", "rank")

    label: Mapped[str] = mapped_column(Varchar(100))
    rank: Mapped[int]
    note: Mapped[str | None] = mapped_column(Varchar(100))
    size: Mapped[int | None] = mapped_column(BigInteger)
    weight: Mapped[float | None] = mapped_column(Double)
    flag: Mapped[bool | None]
    day: Mapped[date | None] = mapped_column(Date)
    moment: Mapped[datetime | None] = mapped_column(UtcDateTime)
    price: Mapped[Decimal | None] = mapped_column(ExactDecimal(10, 2))
    code: Mapped[str | None] = mapped_column(Id)
    kind: Mapped[str | None] = mapped_column(Varchar(10))
    owner_id: Mapped[str | None] = mapped_column(Id, ForeignKey("planted_owners.id"))
    secret: Mapped[str | None] = mapped_column(Varchar(100))


class KeptOwner(RedisModel):
    """The target of a reference from a record in Redis."""

    name = "kept-owner"
    write_schema = write_schema("kept-owner", {"secret": SECRET})


class KeptThing(Declared, RedisModel):
    """The same in Redis."""

    name = "kept-thing"
    relations = {"owner": Relation("owner_id", KeptOwner)}
    write_schema = write_schema("kept-thing", FIELDS, "label", "rank")


class KeptAmount(RedisModel):
    """The largest number of digits that the format allows; SQLite cannot store it."""

    name = "kept-amount"
    filterable = sortable = ("amount",)
    write_schema = write_schema(
        "kept-amount", {"amount": {"type": "string", "format": "decimal"}}
    )


PLANTED: dict[str, type[Model]] = {
    "owners": PlantedOwner,
    "things": PlantedThing,
    "kept-owners": KeptOwner,
    "kept-things": KeptThing,
    "kept-amounts": KeptAmount,
}
POOL: dict[str, list[Any]] = {
    "label": ["a", "A", "É", "é", "b c", "Été", "a ", "😀", "\uffee"],
    "rank": [0, 1, -1, 2, 10, -(2**31), 2**31 - 1],
    "note": ["", "a", "b", "100%", "_", "\\", "b A"],
    "size": [0, 9, 10, -9, 2**63 - 1, -(2**63), 2**53 + 1, 2**53],
    "weight": [0, -0.0, 0.1, -0.1, 3, 1e300, -1e300, 5e-300, 1e-7],
    "flag": [True, False],
    "day": ["0001-01-01", "1969-12-31", "1970-01-01", "9999-12-31"],
    "moment": [
        *("0999-12-31T23:59:59Z", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.5Z"),
        *("2024-01-01T00:30:00+01:00", "2024-01-01T00:00:00.000001Z"),
        "9999-12-31T23:59:59.999999Z",
    ],
    "price": ["0.00", "-0.01", "0.10", "9.99", "10.00", "99999999.99", "-99999999.99"],
    "code": [f"{first}190163d-8694-739b-aea5-966c26f8ad91" for first in "09af"],
    "kind": ["alpha", "Beta", "gamma"],
}
# Values in filters that no record has, or that are written in another way.
ASKED: dict[str, list[Any]] = {
    "rank": [2**31, -(2**31) - 1, 2**63 - 1, -(2**63)],
    "size": [1, 2**63 - 2],
    "weight": [1e308, -1e308, 0.1 + 2**-55, 0.10000000000000002, 1, 2**63],
    "day": ["1969-02-28", "2000-02-29"],
    "moment": ["0001-01-01T00:00:00Z", "2023-12-31T23:00:00-01:00"],
    "price": [
        "0.1",
        "0.105",
        "9.995",
        "-0.00",
        "9.9900000001",
        "9" * 28,
        "-" + "9" * 28,
    ],
    "code": ["F190163D-8694-739B-AEA5-966C26F8AD91"],
}
TEXTS = [*"AZaéÉ%_'", "a ", "a%", "a_b", "ab", "a\\", "e\u0301", "é ", "\\a", "a/b"]
TEXTS += ["\uffee", "😀", "a😀", "A\ta", "\U0010ffff", "a\x01", "\ud7ff", "\ue000"]
SEARCHED = [
    "Été À Paris",
    "100% _x\\y",
    "Straße",
    "ΑΒΓ δ",
    "Привет мир",
    "a/b %d",
    "😀!",
]
SEARCHES = ["ÉTÉ", "été", "pARIS été", "tÉ à", "%", "0%", "_", "\\", "\\Y", "/", "😀"]
SEARCHES += ["αβγ Δ", "ПРИВЕТ", "aße", "100% paris"]
NOT_FOUND = ["ete", "STRASSE", "[a-z]", "ΓΑ", "%_", "1%", "paris straße"]
# Values that are not valid for a field, by its kind.
WRONG = {
    "integer": ["abc", "1.0", "", "+1", " 1", "1_0", "1e3", "0x1", "٣", "true"]
    + [str(2**63), str(-(2**63) - 1), "9" * 5000],
    "number": [
        "abc",
        "",
        "nan",
        "inf",
        "-Infinity",
        "1e999",
        "1e-999",
        "1.",
        "0x1",
        " 1",
        "٣",
    ],
    "boolean": ["", "True", "1", "0", "yes", "null"],
    "date": ["", "2024-02-30", "20240101", "2024-1-1", "2024-01-01T00:00:00Z"],
    "date-time": ["", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01T25:00:00Z"],
    "decimal": ["", "1e3", "NaN", "abc", "+1", "1.", ".5", " 1", "٣"],
    "uuid": ["", "nope", "01a1fbb0-1f04-7797-b388", "null"],
    "enum": ["", "beta", "no such value"],
    "string": [],
}
MALFORMED = (
    "sort= sort=- sort=nope sort=--rank sort=rank, sort=,rank sort=%2Brank "
    "sort=rank,rank sort=rank,-rank sort=rank&sort=rank sort=id,id sort[x]=id "
    "fields= fields=nope fields=id, fields=id&fields=id fields=-id fields=owner "
    "expand= expand=nope expand=owner_id expand=owner,nope expand=owner&expand=owner "
    "q= q=+ q=%E2%80%83 q=a&q=a q=1+2+3+4+5+6+7+8+9 q[ne]=a offset= offset=1001 "
    "offset=-1 offset=1.0 offset=1&offset=1 offset=1&cursor= count= count=all "
    "count=true count=EXACT count=exact&count=exact nope nope=1 =1 [gt]=1 nope[gt]=1 "
    "rank[]=1 rank[gt][lt]=1 rank[GT]=1 rank[eq]=1 rank[foo]=1 rank[prefix]=1 rank "
    "rank=1&rank=1 rank[gt]=1&rank[gt]=2 rank[in]= rank[in]=1, flag[gt]=true "
    "code[lt]=f190163d-8694-739b-aea5-966c26f8ad91 day[prefix]=2024"
).split()
MINE = "sort=note,-rank&rank[gte]=-9999999999&q=a"
# Changes of that query after which its cursors are not valid.
CHANGES = [
    *(("q=a", "q=b"), ("&q=a", ""), ("&q=a", "&q=a+b"), ("gte", "gt"), ("=-9", "=-8")),
    *(("rank[", "size["), (",-rank", ",rank"), (",-rank", ""), ("note", "-note")),
    *(("note,-", ""), ("note,-rank", "-rank,note"), ("sort=note,-rank&", "")),
    ("&q=a", "&q=a&offset=0"),
]


@pytest.fixture(scope="module")
def planted(
    servers: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """An application with the models, on a separate database."""
    folder = tmp_path_factory.mktemp("planted")
    for app in build_app(servers, folder):
        blueprint, api = feature_blueprint("planted", __name__)
        for name, model in PLANTED.items():
            routes_from_model(api.namespace(name), model)
        mount(app, Feature("planted", "/planted", "public"), blueprint)
        with app.app_context():
            METADATA.create_all(sql.engine)
        yield app


@pytest.fixture
def app(planted: App) -> Iterator[App]:
    """That application; what a test writes is rolled back and flushed."""
    yield from undone(planted)


class Things(Queries):
    """The results in both stores, in addition to the contract."""

    def body(number: int) -> JSON:
        """The last value of each field, or the first."""
        values = {
            name: known[-1 if number % 2 == 0 else 0] for name, known in POOL.items()
        }
        owner = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
        return {**values, "owner_id": owner, "secret": ("hidden", "other")[number % 2]}

    def prepare(self, client: Client) -> None:
        """An owner for each body."""
        for name, body in (("full", self.full), ("other", self.other)):
            owner = client.post(self.url.replace("things", "owners"), json={}).json
            setattr(self, name, {**body, "owner_id": owner["id"]})

    def plant(self, client: Client, bodies: list[JSON]) -> Records:
        """Store records, and return them as the list shows them, oldest first."""
        for start in range(0, len(bodies), 100):
            batch = {"create": bodies[start : start + 100]}
            client.post(f"{self.url}batch", json=batch, expect=200)
        return walk(client, self.url, {"sort": "id", "limit": 100})

    def drawn(self, random: Random, count: int) -> list[JSON]:
        """Bodies with equal values, and with missing fields."""
        return [
            {
                name: random.choice(values)
                for name, values in POOL.items()
                if name in self.required or random.random() < 0.7
            }
            for _ in range(count)
        ]

    def test_deep_pages_lose_and_repeat_nothing(self, client: Client) -> None:
        known = self.plant(client, self.drawn(Random(250), 250))
        assert len(known) == 250
        # Without the check of each response, which is slower than the request.
        bare: Any = FlaskClient(client.application, client.application.response_class)
        for sort in [sort for sort in self.sorts if len(sort) == 1]:
            met = walk(bare, self.url, {"sort": sort_text(sort), "limit": 7})
            assert met == in_order(known, self.properties, sort), sort

    def test_any_mix_finds_what_plain_python_finds(self, client: Client) -> None:
        random = Random(7)
        known = self.plant(client, self.drawn(random, 60))
        for _ in range(50):
            wanted, query = known, {}
            for name in random.sample([*POOL], random.choice((0, 1, 1, 2))):
                field = self.properties[name]
                operator = random.choice(sorted(operators_of(field)))
                given = random.sample(POOL[name], 2 if operator == "in" else 1)
                wanted = [
                    one for one in wanted if passes(one, name, field, operator, *given)
                ]
                key = f"{name}[{operator}]".removesuffix("[eq]")
                query[key] = ",".join(as_text(one) for one in given)
            names = random.sample(self.model.sortable, random.choice((1, 2, 2, 3)))
            sort = [(name, random.random() < 0.5) for name in names]
            wanted = in_order(wanted, self.properties, sort)
            query = {**query, "sort": sort_text(sort), "limit": random.choice((5, 30))}
            assert walk(client, self.url, query) == wanted, query
            offset = random.randrange(30)
            response = client.get(
                self.url, query_string={**query, "offset": offset, "count": "exact"}
            )
            assert response.json["items"] == wanted[offset : offset + query["limit"]]
            assert response.json["total"] == len(wanted)
            assert response.headers["X-Total-Count"] == str(len(wanted))

    def test_a_total_is_not_counted_unless_asked(self, client: Client) -> None:
        response = client.get(self.url)
        assert "total" not in response.json
        assert "X-Total-Count" not in response.headers

    @pytest.mark.parametrize("name", POOL)
    def test_values_that_no_record_has(self, client: Client, name: str) -> None:
        body = {one: POOL[one][0] for one in self.required}
        known = self.plant(client, [body, *({**body, name: v} for v in POOL[name])])
        for value in (*POOL[name], *ASKED.get(name, ())):
            self.check_filter(client, known, name, value)

    def test_text_is_compared_by_code_point(self, client: Client) -> None:
        known = self.plant(client, [{"label": one, "rank": 0} for one in TEXTS])
        for text in ("", *TEXTS):
            self.check_filter(client, known, "label", text)
        for sort in ([("label", False)], [("label", True)]):
            met = walk(client, self.url, {"sort": sort_text(sort), "limit": 5})
            assert met == in_order(known, self.properties, sort)

    def test_each_word_is_in_some_field(self, client: Client) -> None:
        bodies = [{"label": one, "rank": 0, "secret": "hidden"} for one in SEARCHED]
        known = self.plant(client, [*bodies, {**bodies[0], "note": SEARCHED[1]}])
        texts = {
            one["id"]: [one["label"].lower(), (one["note"] or "").lower()]
            for one in known
        }
        for query in (*SEARCHES, *NOT_FOUND):
            wanted = known
            for word in query.lower().split():
                wanted = [
                    one
                    for one in wanted
                    if any(word in text for text in texts[one["id"]])
                ]
            assert self.found(client, q=query) == wanted, query
            assert bool(wanted) is (query in SEARCHES)

    def test_every_cased_letter_is_found_in_any_case(self, client: Client) -> None:
        cased = [chr(n) for n in range(sys.maxunicode) if is_cased(chr(n))]
        assert len(cased) > 2800
        # Many records at once, with as many words as a search may have.
        groups = ["".join(cased[n : n + 8]) for n in range(0, len(cased), 8)]
        bodies = [{"label": f"<{group}>", "rank": 0} for group in groups]
        self.plant(client, bodies)
        for group in groups:
            for query in (group, group.swapcase(), group.casefold()):
                wanted = {f"<{group}>"} if folds(query, group) else set()
                found = self.found(client, q=query)
                assert {one["label"] for one in found} >= wanted, query
                assert all(folds(query, one["label"]) for one in found), query

    def test_a_hidden_field_is_not_searched(self, client: Client) -> None:
        record = self.make(client)
        assert "secret" not in record
        assert self.found(client, q=self.full["label"]) == [record]
        assert self.found(client, q="hidden") == []

    def test_what_is_malformed_is_refused(self, client: Client) -> None:
        for query in MALFORMED:
            self.refusal(client, query)

    @pytest.mark.parametrize("name", POOL)
    def test_a_value_of_another_kind_is_refused(
        self, client: Client, name: str
    ) -> None:
        good = as_text(POOL[name][0])
        for wrong in WRONG[kind_of(self.properties[name])]:
            for query in ({name: wrong}, {f"{name}[in]": f"{good},{wrong}"}):
                self.refusal(client, urlencode(query))
        for other in {*COMPARE, "foo", ""} - operators_of(self.properties[name]):
            self.refusal(client, urlencode({f"{name}[{other}]": good}))
        self.refusal(client, urlencode({f"{name}[in]": ",".join([good] * 101)}))
        self.found(client, **{f"{name}[in]": ",".join([good] * 100)})
        for query in (f"{name}=%00", f"{name}[in]={good},%00"):
            problem = client.get(f"{self.url}?{query}", expect=400).json
            assert problem["type"] == "/problems/bad-request"

    def test_an_unknown_parameter_is_told_the_known_ones(self, client: Client) -> None:
        (error,) = self.refusal(client, "nope=1")["errors"]
        known = {"rank", "rank[gte]", "label[prefix]", "q", "sort", "fields", "expand"}
        assert known < set(re.split(", | ", error["detail"]))

    def test_a_cursor_goes_with_its_query_alone(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.some(client)
        cursor = client.get(f"{self.url}?{MINE}&limit=1").json["next"]
        for same in ("limit=3", "fields=id", "expand=owner", "count=exact"):
            client.get(f"{self.url}?{MINE}&{same}&cursor={cursor}")
        payload, _, signature = cursor.partition(".")
        first = "A" if signature[0] != "A" else "B"
        for forged in (f"{payload}.{first}{signature[1:]}", payload, f"A{cursor}"):
            self.refusal(client, f"{MINE}&cursor={forged}")
        for change in CHANGES:
            self.refusal(client, f"{MINE.replace(*change)}&cursor={cursor}")
        for twin in ("things", "kept-things"):
            url = f"/planted/{twin}/?{MINE}&cursor={cursor}"
            client.get(url, expect=200 if f"/{twin}/" in self.url else 400)
        config = client.application.config
        monkeypatch.setitem(config, "SECRET_KEY_FALLBACKS", [config["SECRET_KEY"]])
        monkeypatch.setitem(config, "SECRET_KEY", "another")
        newer = client.get(f"{self.url}?{MINE}&limit=1&cursor={cursor}").json["next"]
        monkeypatch.setitem(config, "SECRET_KEY_FALLBACKS", [])
        client.get(f"{self.url}?{MINE}&cursor={newer}")
        self.refusal(client, f"{MINE}&cursor={cursor}")

    def test_a_reference_to_nothing_is_refused(self, client: Client) -> None:
        body = {**self.full, "owner_id": "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"}
        problem = client.post(self.url, json=body, expect=422).json
        assert problem["errors"][0]["pointer"] == "/owner_id"
        sent = {"create": [self.full, body]}
        problem = client.post(f"{self.url}batch", json=sent, expect=422).json
        assert problem["errors"][0]["pointer"] == "/create/1/owner_id"
        record = self.make(client)
        client.put(self.item(record), json=body, expect=422)
        assert client.get(self.item(record)).json == record


class TestThings(Things):
    """The list query in SQL."""

    url = "/planted/things/"
    model = PlantedThing


class TestKeptThings(Things):
    """The list query in Redis."""

    url = "/planted/kept-things/"
    model = KeptThing

    def test_expand_costs_one_command(self, client: Client) -> None:
        with client.application.app_context():
            if redis_store.in_cluster:
                pytest.skip("MONITOR watches one server")
        self.some(client)
        end = f"ECHO {secrets.token_hex(6)}"
        with client.application.app_context(), redis_store.monitor() as monitor:
            client.get(f"{self.url}?expand=owner")
            redis_store.execute_command(*end.split())
            seen = takewhile(lambda one: one["command"] != end, monitor.listen())
            commands = [one["command"] for one in seen if one["db"] == database()]
        assert len([one for one in commands if "{kept-owner}:" in one]) == 1


def database() -> int:
    """The number of the Redis database; the server may have other users."""
    return int(redis_store.connection_pool.connection_kwargs.get("db", 0))


class TestKeptAmounts(Queries):
    """Numbers with the largest number of digits that the format allows."""

    url = "/planted/kept-amounts/"
    model = KeptAmount

    def body(number: int) -> JSON:
        """The largest amount, or the least."""
        return {
            "amount": ("9" * 28 + ".0000000001", "-" + "9" * 28 + ".9999999999")[
                number % 2
            ]
        }

    def test_the_last_digit_decides(self, client: Client) -> None:
        for end in (5, 3, 9, 1, 7):
            for sign in ("", "-"):
                self.make(client, amount=f"{sign}{'1' * 28}.123456789{end}")
        known = self.found(client)
        for down in (False, True):
            sort = [("amount", down)]
            met = walk(client, self.url, {"sort": sort_text(sort), "limit": 3})
            assert met == in_order(known, self.properties, sort)
        for record in known:
            self.check_filter(client, known, "amount", record["amount"])


@pytest.mark.parametrize("declared", ["filterable", "sortable", "searchable"])
def test_a_model_that_declares_a_hidden_field_does_not_start(declared: str) -> None:
    members = {
        declared: ("secret",),
        "write_schema": write_schema("leak", {"secret": SECRET}),
    }
    with pytest.raises((LookupError, TypeError, ValueError)):
        type("Leak", (Model,), members)
