"""Teams over HTTP: the contract, and who may do what."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uuid_utils

from myapp.accounts.factories import create_user
from myapp.core.http import App
from myapp.core.stores import commit
from myapp.core.testing import Client, ResourceContract, ToyAuthenticator, by
from myapp.teams.factories import create_team, team_body
from myapp.teams.models import Team

ROOT = by("00000000-0000-7000-8000-000000000009", "admin")
NAMES = ("lea", "mia", "zoe", "kim")


class TestTeams(ResourceContract):
    """Teams keep the contract."""

    url = "/teams/"
    model = Team
    body = team_body
    caller = "00000000-0000-7000-8000-000000000001"
    stranger = "00000000-0000-7000-8000-000000000002"


@pytest.fixture
def client(app: App) -> Iterator[Any]:
    with ToyAuthenticator().added_to(app):
        yield app.test_client()


def make_users(app: App) -> dict[str, str]:
    """The ids of some users."""
    with app.app_context():
        made = {name: create_user(f"{name}@mail.example").id for name in NAMES}
        commit()
    return made


def make_team(client: Client, users: dict[str, str]) -> str:
    """The URL of a team that lea leads, and to which mia belongs."""
    lea = by(users["lea"])
    team = client.post("/teams/", json={"title": "Restoration"}, headers=lea).json
    place = f"/teams/{team['id']}"
    body = {"user_id": users["mia"]}
    client.post(f"{place}/members/", json=body, headers=lea)
    return place


def members(client: Client, place: str, caller: dict[str, str]) -> dict[str, bool]:
    """The members of a team, and whether each leads it."""
    items = client.get(f"{place}/members/", headers=caller).json["items"]
    return {one["user_id"]: one["is_leader"] for one in items}


def test_who_makes_a_team_leads_it_and_adds_members(client: Client, app: App) -> None:
    users = make_users(app)
    place = make_team(client, users)
    lea, mia = by(users["lea"]), by(users["mia"])
    assert members(client, place, mia) == {users["lea"]: True, users["mia"]: False}
    body = {"user_id": users["zoe"], "is_leader": True}
    added = client.post(f"{place}/members/", json=body, headers=lea)
    assert added.headers["Location"] == f"{place}/members/{users['zoe']}"
    assert added.json["team_id"] == place.rpartition("/")[2]
    client.post(f"{place}/members/", json=body, headers=lea, expect=409)
    zoe = by(users["zoe"])
    assert client.get(added.headers["Location"], headers=zoe).json == added.json
    client.patch(place, json={"title": "Repair"}, headers=zoe)
    client.delete(added.headers["Location"], headers=lea)
    client.get(place, headers=zoe, expect=404)


def test_a_member_reads_and_a_stranger_knows_nothing(client: Client, app: App) -> None:
    users = make_users(app)
    place = make_team(client, users)
    mia, zoe = by(users["mia"]), by(users["zoe"])
    own = f"{place}/members/{users['mia']}"
    body = {"user_id": users["kim"]}
    for caller, status in ((mia, 403), (zoe, 404), ({}, 401)):
        client.patch(place, json={"title": "x"}, headers=caller, expect=status)
        client.delete(place, headers=caller, expect=status)
        client.post(f"{place}/members/", json=body, headers=caller, expect=status)
        rank = {"is_leader": True}
        client.patch(own, json=rank, headers=caller, expect=status)
        client.delete(own, headers=caller, expect=status)
        seen = 200 if caller is mia else status
        for url in (place, f"{place}/members/", own):
            client.get(url, headers=caller, expect=seen)
    assert client.get("/teams/", headers=zoe).json["items"] == []
    assert len(client.get("/teams/", headers=mia).json["items"]) == 1
    assert members(client, place, ROOT) == {users["lea"]: True, users["mia"]: False}
    client.patch(own, json={"is_leader": True}, headers=ROOT)
    client.delete(place, headers=mia)


def test_members_of_one_team_are_not_reached_by_another(
    client: Client, app: App
) -> None:
    users = make_users(app)
    mine, lea = make_team(client, users), by(users["lea"])
    with app.app_context():
        other = create_team({users["zoe"]: True, users["lea"]: False})
        commit()
    place = f"/teams/{other.id}/members/{users['mia']}"
    client.get(place, headers=lea, expect=404)
    client.delete(place, headers=lea, expect=404)
    body = {"user_id": users["mia"]}
    client.post(f"/teams/{other.id}/members/", json=body, headers=lea, expect=403)
    moved = body | {"team_id": str(other.id)}
    client.post(f"{mine}/members/", json=moved, headers=lea, expect=400)


def test_a_member_is_a_user_and_the_last_leader_stays(client: Client, app: App) -> None:
    users = make_users(app)
    place, lea = make_team(client, users), by(users["lea"])
    nobody = {"user_id": str(uuid_utils.uuid7())}
    problem = client.post(f"{place}/members/", json=nobody, headers=lea, expect=422)
    assert problem.json["errors"][0]["pointer"] == "/user_id"
    own = f"{place}/members/{users['lea']}"
    client.delete(own, headers=lea, expect=409)
    client.patch(own, json={"is_leader": False}, headers=lea, expect=409)
    client.patch(own, json={"is_leader": True}, headers=lea)
    stale = lea | {"If-Match": '"7-0"'}
    client.delete(f"{place}/members/{users['mia']}", headers=stale, expect=412)


def test_a_deleted_user_belongs_to_no_team(client: Client, app: App) -> None:
    users = make_users(app)
    place = make_team(client, users)
    client.delete(f"/accounts/users/{users['mia']}", headers=ROOT)
    assert members(client, place, ROOT) == {users["lea"]: True}
    client.delete(f"/accounts/users/{users['lea']}", headers=ROOT)
    assert members(client, place, ROOT) == {}


def test_two_leaders_who_go_at_once_leave_one(own_app: App) -> None:
    ToyAuthenticator().add_to(own_app)
    users = make_users(own_app)
    for _ in range(4):
        with own_app.app_context():
            team = create_team({users["lea"]: True, users["mia"]: True})
            commit()

        def leave(name: str) -> int:
            mine: Any = own_app.test_client()
            url = f"/teams/{team.id}/members/{users[name]}"
            sent = {"method": "DELETE", "headers": by(users[name])}
            return int(super(Client, mine).open(url, **sent).status_code)

        with ThreadPoolExecutor(2) as pool:
            statuses = sorted(pool.map(leave, ("lea", "mia")))
        # The one who comes second is no leader any more, or the last one.
        assert statuses[0] == 204 and statuses[1] in (404, 409), statuses
        left = members(own_app.test_client(), f"/teams/{team.id}", ROOT)
        assert list(left.values()) == [True]


def test_a_caller_that_is_no_user_belongs_to_no_team(client: Client) -> None:
    service = by("a-service", "editor")
    team = client.post("/teams/", json={"title": "Robots"}, headers=service).json
    place = f"/teams/{team['id']}"
    client.get(place, headers=service, expect=404)
    client.patch(place, json={"title": "x"}, headers=service, expect=404)
    assert client.get("/teams/", headers=service).json["items"] == []
    assert members(client, place, ROOT) == {}
    client.get("/accounts/me", headers=service, expect=404)
    client.patch("/accounts/me", json={"name": "x"}, headers=service, expect=404)
    assert "not signed in" in client.get("/accounts/", headers=service).text


def test_a_member_leaves_by_itself_and_the_last_leader_stays(
    client: Client, app: App
) -> None:
    users = make_users(app)
    place = make_team(client, users)
    lea, mia, zoe = (by(users[name], "readonly") for name in ("lea", "mia", "zoe"))
    mine = f"{place}/members/me"
    assert client.get(mine, headers=mia).json["user_id"] == users["mia"]
    client.delete(f"{place}/members/{users['lea']}", headers=mia, expect=403)
    for stranger in (zoe, ROOT, by("machine", "readonly")):
        client.get(mine, headers=stranger, expect=404)
        client.delete(mine, headers=stranger, expect=404)
    client.delete(mine, headers={**mia, "If-Match": '"9"'}, expect=412)
    client.delete(mine, headers=mia)
    client.get(place, headers=mia, expect=404)
    client.delete(mine, headers=lea, expect=409)
    assert members(client, place, lea) == {users["lea"]: True}


def lines(client: Client, id: str) -> list[str]:
    """What the audit tells of a record, the newest line first."""
    items = client.get(f"/audit/?record_id={id}", headers=ROOT).json["items"]
    return [one["action"] for one in items]


@pytest.mark.parametrize("in_batch", [False, True])
def test_the_audit_tells_of_the_members_of_a_deleted_team(
    client: Client, app: App, in_batch: bool
) -> None:
    users = make_users(app)
    place, lea = make_team(client, users), by(users["lea"])
    url = f"{place}/members/{users['mia']}"
    member = client.get(url, headers=lea).json["id"]
    if in_batch:
        body = {"delete": [{"id": place.rpartition("/")[2]}]}
        client.post("/teams/batch", json=body, headers=lea, expect=200)
    else:
        client.delete(place, headers=lea)
    assert lines(client, member) == ["delete", "create"]


def test_a_member_learns_nothing_of_users_and_ids_have_one_form(
    client: Client, app: App
) -> None:
    users = make_users(app)
    place = make_team(client, users)
    lea, mia = by(users["lea"]), by(users["mia"])
    url = f"{place}/members/"
    for id in (users["zoe"], "00000000-0000-7000-8000-00000000dead"):
        client.post(url, json={"user_id": id}, headers=mia, expect=403)
    body = {"user_id": users["zoe"].upper()}
    added = client.post(url, json=body, headers=lea).json
    assert added["user_id"] == users["zoe"]


def test_no_user_who_is_deleted_meanwhile_stays_a_member(own_app: App) -> None:
    ToyAuthenticator().add_to(own_app)
    users = make_users(own_app)
    place = make_team(own_app.test_client(), users)
    lea = by(users["lea"])

    def send(method: str, url: str, sent: dict[str, Any]) -> int:
        mine: Any = own_app.test_client()
        opened = super(Client, mine).open(url, method=method, **sent)
        return int(opened.status_code)

    for number in range(8):
        with own_app.app_context():
            id = create_user(f"new{number}@mail.example").id
            commit()
        with ThreadPoolExecutor(2) as pool:
            sent = {"json": {"user_id": id}, "headers": lea}
            added = pool.submit(send, "POST", f"{place}/members/", sent)
            gone = f"/accounts/users/{id}"
            deleted = pool.submit(send, "DELETE", gone, {"headers": ROOT})
        assert deleted.result() == 204 and added.result() in (201, 422)
        assert id not in members(own_app.test_client(), place, lea)
