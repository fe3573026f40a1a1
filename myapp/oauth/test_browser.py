"""OAuth in a browser: the page of consent, and "Authorize" in the Swagger pages."""

from typing import Any

import pytest

from myapp.accounts.factories import PASSWORD, create_user
from myapp.core.http import App
from myapp.core.stores import commit
from myapp.core.testing import Tab
from myapp.oauth.factories import create_client, create_consent
from myapp.oauth.test_oauth import ADA, CHALLENGE, Flow, needs_others, urlencode

pytestmark = needs_others

REDIRECT = "/swagger-ui/oauth2-redirect.html"


def make(app: App, **overrides: Any) -> tuple[str, str]:
    """Store a user and a client; return the id and the secret of the client."""
    with app.app_context():
        create_user(ADA, "editor")
        made, secret = create_client(**overrides)
        commit()
    return made.id, secret


def sign_in(page: Any) -> None:
    """Fill the page of the sign-in."""
    page.fill("[name=email]", ADA)
    page.fill("[name=password]", PASSWORD)
    page.click("form button")
    page.wait_for_selector("button[value=allow]")


@pytest.mark.external
def test_a_person_signs_in_and_allows_a_client(
    own_app: App, live_server: str, chromium: Any
) -> None:
    place = f"{live_server}/health/live"
    id, _ = make(own_app, redirect_uris=[place])
    asked = {"client_id": id, "redirect_uri": place, "response_type": "code"}
    asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    asked |= {"scope": "carts:read catalog:write", "state": "s"}
    with Tab(chromium, live_server, "oauth-consent") as tab:
        page = tab.open(f"/oauth/authorize?{urlencode(asked)}")
        assert page.url.startswith(f"{live_server}/accounts/sign-in")
        sign_in(page)
        assert "Change what is below /catalog" in page.inner_text("main")
        page.screenshot(path=tab.picture.with_name("oauth-consent-page.png"))
        page.click("button[value=allow]")
        page.wait_for_url(f"{place}?*")
        assert "code=" in page.url and "state=s" in page.url and "iss=" in page.url


@pytest.mark.external
def test_a_person_sees_which_programs_have_access_and_ends_one(
    own_app: App, live_server: str, chromium: Any
) -> None:
    with own_app.app_context():
        user = create_user(ADA, "editor")
        create_consent(user.id)
        commit()
    with Tab(chromium, live_server, "oauth-programs") as tab:
        page = tab.open("/oauth/")
        page.fill("[name=email]", ADA)
        page.fill("[name=password]", PASSWORD)
        page.click("form button")
        page.wait_for_selector("#consents")
        assert "Film club" in page.inner_text("#consents")
        page.screenshot(path=tab.picture.with_name("oauth-programs-page.png"))
        page.click("#consents button")
        page.get_by_text("No program may call for you.").wait_for()


def authorize(page: Any, flow: str, **fields: str) -> None:
    """Fill the dialog "Authorize" for a flow, and send it."""
    page.locator(".auth-wrapper .authorize").first.click()
    box = page.locator(".auth-container", has=page.locator(f"#client_id_{flow}"))
    for name, value in fields.items():
        box.locator(f"#{name}").fill(value)
    box.locator("label", has_text="catalog:write").first.click()
    box.locator("button.authorize").click()


def write_director(page: Any) -> str:
    """Send the example of a director from the page; return the status."""
    page.locator(".btn-done").first.click()
    page.locator(".opblock-post [data-path='/catalog/directors/']").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    shown = page.locator(".live-responses-table tbody .response-col_status").first
    return str(shown.inner_text())


@pytest.mark.external
def test_authorize_by_code_and_pkce_in_a_swagger_page(
    own_app: App, live_server: str, chromium: Any
) -> None:
    grants = ["authorization_code"]
    place = f"{live_server}{REDIRECT}"
    id, _ = make(own_app, redirect_uris=[place], grants=grants, is_confidential=False)
    with Tab(chromium, live_server, "oauth-swagger") as tab:
        page = tab.open("/catalog/docs")
        with page.expect_popup() as opened:
            authorize(page, "authorizationCode", client_id_authorizationCode=id)
        popup = opened.value
        sign_in(popup)
        with popup.expect_event("close"):
            popup.click("button[value=allow]")
        page.locator("button", has_text="Logout").first.wait_for()
        page.context.clear_cookies()
        assert write_director(page).startswith("201")


@pytest.mark.external
def test_authorize_as_a_client_in_a_swagger_page(
    own_app: App, live_server: str, chromium: Any
) -> None:
    id, secret = make(own_app, role="editor")
    with Tab(chromium, live_server, "oauth-swagger-client") as tab:
        page = tab.open("/catalog/docs")
        sent = {
            "client_id_clientCredentials": id,
            "client_secret_clientCredentials": secret,
        }
        authorize(page, "clientCredentials", **sent)
        page.locator("button", has_text="Logout").first.wait_for()
        assert write_director(page).startswith("201")


def test_the_documents_tell_the_scopes_of_each_operation(app: App) -> None:
    client = Flow(app).client
    document = client.get("/catalog/swagger.json").json
    (code,) = [
        one
        for one in document["securityDefinitions"].values()
        if one.get("flow") == "accessCode"
    ]
    assert code["authorizationUrl"] == "http://localhost/oauth/authorize"
    assert "catalog:write" in code["scopes"] and "oauth:write" not in code["scopes"]
    needed = document["paths"]["/movies/"]["post"]["security"]
    assert {"oauth accessCode": ["catalog:write"]} in needed and {"token": []} in needed
    assert document["paths"]["/movies/"]["get"]["security"] == []
    flows = client.get("/openapi.json").json["components"]["securitySchemes"]["oauth"]
    assert flows["flows"]["clientCredentials"]["tokenUrl"] == "/oauth/token"
