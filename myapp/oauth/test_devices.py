"""The device authorization grant over HTTP, RFC 8628."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import update

from myapp.core.http import App
from myapp.core.stores import commit
from myapp.core.stores.sql import rows, write
from myapp.oauth import devices, tokens
from myapp.oauth.models import DEVICE, REFRESH
from myapp.oauth.test_oauth import Flow, at_once, needs_others, raw

pytestmark = needs_others


class DeviceFlow(Flow):
    """A user, and a device whose client can keep no secret."""

    def __init__(self, app: App) -> None:
        grants = [DEVICE, REFRESH]
        super().__init__(app, is_confidential=False, grants=grants, redirect_uris=[])

    def begin(self, **changes: Any) -> Any:
        """The response to a device that begins."""
        form = {"client_id": self.id, "scope": "carts:read", **changes}
        return raw(self.client, "POST", "/oauth/device_authorization", data=form)

    def poll(self, code: str) -> Any:
        """The response to a device that asks whether its user has decided."""
        form = {"grant_type": DEVICE, "device_code": code, "client_id": self.id}
        return self.token(**form)

    def decide(self, user_code: str, decision: str = "allow") -> int:
        """The status of the decision of the user."""
        url = f"/oauth/device?user_code={user_code}"
        sent = {"data": {"decision": decision}}
        return int(raw(self.browser, "POST", url, **sent).status_code)

    def hurry(self) -> None:
        """Let the device have asked long ago."""
        with self.app.app_context():
            past = datetime.now(UTC) - timedelta(minutes=1)
            write(update(devices.DEVICES).values(polled_at=past))
            commit()


@pytest.fixture
def flow(app: App) -> DeviceFlow:
    return DeviceFlow(app)


def test_a_device_gets_tokens_when_its_user_allows_it(flow: DeviceFlow) -> None:
    response = flow.begin()
    told = response.json
    assert response.headers["Cache-Control"] == "no-store"
    assert told["verification_uri"] == "http://localhost/oauth/device"
    assert (told["expires_in"], told["interval"]) == (600, 5)
    code = told["device_code"]
    assert flow.poll(code).json["error"] == "authorization_pending"
    empty = raw(flow.browser, "GET", "/oauth/device")
    assert "Enter the code" in empty.text
    place = urlsplit(told["verification_uri_complete"])
    shown = raw(flow.browser, "GET", f"{place.path}?{place.query}")
    assert "Film club asks for access" in shown.text
    assert told["user_code"] in shown.text and "Read what is below /carts" in shown.text
    assert flow.decide(told["user_code"].lower().replace("-", " ")) == 200
    flow.hurry()
    found = flow.poll(code).json
    assert found["scope"] == "carts:read" and flow.call(found["access_token"]) == 200
    named = {"client_id": flow.id}
    assert flow.refresh(found["refresh_token"], **named).status_code == 200
    assert flow.poll(code).json["error"] == "invalid_grant"
    assert len(flow.browser.get("/oauth/consents/").json["items"]) == 1


def test_a_user_refuses_a_device(flow: DeviceFlow) -> None:
    told = flow.begin().json
    assert flow.decide(told["user_code"], "deny") == 200
    assert flow.poll(told["device_code"]).json["error"] == "access_denied"
    assert flow.decide(told["user_code"]) == 404


def test_a_device_that_asks_too_often_has_to_wait_longer(flow: DeviceFlow) -> None:
    code = flow.begin().json["device_code"]
    assert flow.poll(code).json["error"] == "authorization_pending"
    assert flow.poll(code).json["error"] == "slow_down"
    with flow.app.app_context():
        (row,) = rows(tokens.select(devices.DEVICES))
    assert row.wait == 2 * devices.INTERVAL
    flow.hurry()
    assert flow.poll(code).json["error"] == "authorization_pending"


def test_a_code_of_a_device_is_of_no_use_after_ten_minutes(flow: DeviceFlow) -> None:
    told = flow.begin().json
    with flow.app.app_context():
        past = datetime.now(UTC) - timedelta(seconds=1)
        write(update(devices.DEVICES).values(expires_at=past))
        commit()
    assert flow.poll(told["device_code"]).json["error"] == "expired_token"
    assert flow.decide(told["user_code"]) == 404
    with flow.app.app_context():
        assert devices.drop_old_devices() == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"scope": "teams:write"}, "invalid_scope"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"resource": "https://evil.example"}, "invalid_target"),
    ],
)
def test_a_device_asks_for_what_its_client_has(
    flow: DeviceFlow, change: dict[str, str], error: str
) -> None:
    response = flow.begin(**change)
    assert response.status_code in (400, 401) and response.json["error"] == error


def test_another_client_has_no_such_grant(app: App) -> None:
    flow = Flow(app)
    url, form = "/oauth/device_authorization", {"scope": "carts:read"}
    response = raw(flow.client, "POST", url, data=form, headers=flow.auth)
    assert response.json["error"] == "unauthorized_client"


def test_codes_are_not_guessed(flow: DeviceFlow) -> None:
    url = "/oauth/device?user_code=BBBB-BBBB"
    assert raw(flow.client, "GET", url).status_code == 303
    found = [raw(flow.browser, "GET", url).status_code for _ in range(11)]
    assert found == [404] * 10 + [429]


def test_of_ten_devices_with_one_code_one_gets_tokens(own_app: App) -> None:
    flow = DeviceFlow(own_app)
    told = flow.begin().json
    flow.decide(told["user_code"])
    found = at_once(10, lambda _: flow.poll(told["device_code"]).status_code)
    assert sorted(found) == [200] + [400] * 9
    assert sorted(at_once(4, lambda _: flow.decide(told["user_code"]))) == [404] * 4


def test_one_decision_counts(own_app: App) -> None:
    flow = DeviceFlow(own_app)
    told = flow.begin().json
    found = at_once(6, lambda _: flow.decide(told["user_code"]))
    assert found.count(200) == 1 and set(found) <= {200, 404, 409}
    assert flow.poll(told["device_code"]).status_code == 200
    assert len(flow.browser.get("/oauth/consents/").json["items"]) == 1
