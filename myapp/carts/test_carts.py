"""Carts over HTTP: the contract, and the time to live."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uuid_utils

from myapp.accounts.factories import create_user
from myapp.carts import jobs
from myapp.carts.factories import DISC, POSTER, cart_body, load_demo
from myapp.carts.jobs import mark_abandoned
from myapp.carts.models import WEEK, Cart
from myapp.core.http import App
from myapp.core.stores import commit
from myapp.core.stores.redis import redis_store
from myapp.core.testing import Client, ResourceContract, by, calling, run_jobs


class TestCarts(ResourceContract):
    """Carts keep the contract."""

    url = "/carts/"
    model = Cart
    body = cart_body
    caller = "ann readonly"
    stranger = "bob editor"


@pytest.fixture
def client(app: App) -> Iterator[Any]:
    """A client of a customer."""
    with calling(app, "ann readonly") as client:
        yield client


@pytest.mark.parametrize(
    ("item", "pointer"),
    [
        ({**POSTER, "quantity": 0}, "/items/0/quantity"),
        ({**POSTER, "quantity": 1.5}, "/items/0/quantity"),
        ({**POSTER, "unit_price": "1.5"}, "/items/0/unit_price"),
        ({**POSTER, "sku": ""}, "/items/0/sku"),
        ({**POSTER, "gift": True}, "/items/0/gift"),
        ({"quantity": 1, "unit_price": "1.00"}, "/items/0/sku"),
    ],
)
def test_an_item_out_of_bounds_is_refused(
    client: Client, item: Any, pointer: str
) -> None:
    errors = client.post("/carts/", json={"items": [item]}, expect=400).json["errors"]
    assert [error["pointer"] for error in errors] == [pointer]


def test_each_write_renews_the_time_to_live(client: Client, app: App) -> None:
    cart = client.post("/carts/", json={"items": []}).json
    key, life = f"{{cart}}:{cart['id']}", WEEK
    with app.app_context():
        assert life - 60 < redis_store.ttl(key) <= life
        redis_store.expire(key, 100)
    client.put(f"/carts/{cart['id']}", json={"items": [POSTER]})
    with app.app_context():
        assert life - 60 < redis_store.ttl(key) <= life


def test_an_expired_cart_is_gone_and_leaves_the_list(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = client.post("/carts/", json={"items": [DISC]}).json
    monkeypatch.setitem(app.config, "CART_TTL", 0.05)
    cart = client.post("/carts/", json={"items": [POSTER]}).json
    url, deadline = f"/carts/{cart['id']}", time.monotonic() + 10
    with app.app_context():
        while redis_store.exists(f"{{cart}}:{cart['id']}"):
            assert time.monotonic() < deadline
    client.get(url, expect=404)
    client.put(url, json={"items": []}, expect=404)
    client.delete(url, expect=404)
    assert client.get("/carts/").json["items"] == [kept]
    with app.app_context():
        # No index has an entry for it.
        assert redis_store.zcard("{cart}:ids") == redis_store.zcard("{cart}:expires")
        assert redis_store.zcard("{cart}:ids") == 1


def test_many_expired_carts_hide_no_other(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = client.post("/carts/", json={"items": [POSTER]}).json
    monkeypatch.setitem(app.config, "CART_TTL", 0.5)
    many = {"create": [{"items": []}] * 800}
    for _ in range(3):
        made = client.post("/carts/batch", json=many, expect=200).json["create"]
    deadline = time.monotonic() + 10
    with app.app_context():
        while redis_store.exists(f"{{cart}}:{made[-1]['id']}"):
            assert time.monotonic() < deadline
    page = client.get("/carts/?count=exact&limit=2").json
    assert (page["items"], page["next"], page["total"]) == ([kept], None, 1)


def test_a_time_to_live_can_be_switched_off(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "CART_TTL", 0.5)
    url, body = "/carts/", {"items": [POSTER]}
    stays, ends = (client.post(url, json=body).json for _ in range(2))
    monkeypatch.setitem(app.config, "CART_TTL", 0)
    kept = client.put(f"{url}{stays['id']}", json=body).json
    deadline = time.monotonic() + 10
    while client.get(url).json["items"] != [kept]:
        assert time.monotonic() < deadline
    client.get(f"{url}{ends['id']}", expect=404)
    assert client.get(f"{url}{stays['id']}").json == kept


def test_a_cart_that_is_left_is_marked(client: Client, app: App) -> None:
    cart = client.post("/carts/", json={"items": [POSTER]}).json
    url = f"/carts/{cart['id']}"
    assert cart["abandoned_at"] is None
    run_jobs(app)
    left = client.get(url).json
    assert left["abandoned_at"] > cart["created_at"] and left["version"] == 2
    run_jobs(app)
    assert client.get(url).json == left
    used = client.patch(url, json={"note": "Still here."}).json
    assert used["abandoned_at"] is None
    run_jobs(app)
    assert client.get(url).json["abandoned_at"] is not None


def test_a_change_cancels_the_mark_of_a_cart(client: Client, app: App) -> None:
    cart = client.post("/carts/", json={"items": [POSTER]}).json
    url = f"/carts/{cart['id']}"
    for quantity in (2, 3):
        client.put(url, json={"items": [{**POSTER, "quantity": quantity}]})
    assert run_jobs(app) == 1
    client.put(url, json={"items": []})
    client.delete(url)
    assert run_jobs(app) == 0


def test_a_job_that_comes_late_marks_no_cart_in_use(client: Client, app: App) -> None:
    cart = client.post("/carts/", json={"items": [POSTER]}).json
    with app.app_context():
        mark_abandoned.cancel(cart["id"])
        mark_abandoned.later(cart["id"], 7)
        mark_abandoned.later(str(uuid_utils.uuid7()), 1)
        commit()
    assert run_jobs(app) == 2
    assert client.get(f"/carts/{cart['id']}").json == cart


def test_marks_can_be_switched_off(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "CART_ABANDONED_AFTER", 0)
    cart = client.post("/carts/", json={"items": [POSTER]}).json
    client.put(f"/carts/{cart['id']}", json={"items": []})
    assert run_jobs(app) == 0


def test_a_cart_of_an_older_release_has_the_new_field(client: Client, app: App) -> None:
    cart = client.post("/carts/", json={"items": [POSTER]}).json
    key, url = f"{{cart}}:{cart['id']}", f"/carts/{cart['id']}"
    old = {name: value for name, value in cart.items() if name != "abandoned_at"}
    with app.app_context():
        redis_store.set(key, json.dumps(old))
    assert client.get(url).json == cart
    for query in ("", "?note=", "?sort=note", "?q=x", "?count=exact"):
        client.get(f"/carts/{query}")
    assert client.get("/carts/?sort=note").json["items"] == [cart]
    assert client.patch(url, json={"note": "x"}).json["abandoned_at"] is None


def test_the_demo_is_three_carts(client: Client, app: App) -> None:
    with app.app_context():
        assert load_demo() == 3
        commit()
    assert client.get("/carts/").json["items"] == []
    found = client.get("/carts/", headers=by("eve", "admin")).json["items"]
    assert len(found) == 3


def test_a_cart_is_of_who_has_made_it_and_of_admins(client: Client) -> None:
    body, eve = {"items": [POSTER]}, by("eve", "admin")
    cart = client.post("/carts/", json=body).json
    assert cart["owner_id"] == "ann"
    url = f"/carts/{cart['id']}"
    client.get(url, headers=by("bob", "editor"), expect=404)
    changed = client.patch(url, json={"note": "By eve."}, headers=eve).json
    assert changed["owner_id"] == "ann"
    client.patch(url, json={"owner_id": "bob"}, expect=400)
    sent = {"items": [], "owner_id": "bob"}
    client.post("/carts/", json=sent, headers=eve, expect=400)


def test_the_carts_of_a_deleted_user_are_deleted(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CARTS_A_RUN", 2)
    with app.app_context():
        ann, bob = (create_user(f"{name}@mail.example").id for name in ("ann", "bob"))
        commit()
    with calling(app, f"{bob} admin") as client:
        kept = client.post("/carts/", json={"items": []}).json["id"]
        hers = by(ann, "readonly")
        made = [
            client.post("/carts/", json={"items": []}, headers=hers).json["id"]
            for _ in range(3)
        ]
        copy = client.get("/accounts/me/export", headers=hers).json
        assert [one["id"] for one in copy["carts"]] == made[::-1]
        assert copy["teams"] == []
        client.delete(f"/accounts/users/{ann}")
        assert run_jobs(app) + run_jobs(app)
        assert [one["id"] for one in client.get("/carts/").json["items"]] == [kept]
