"""The pages of accounts in a browser, and the Swagger pages of who has signed in."""

from typing import Any

import pyotp
import pytest

from myapp.accounts.factories import PASSWORD, create_user
from myapp.core.http import App
from myapp.core.mail import kept_mails
from myapp.core.stores import commit
from myapp.core.testing import Client, Tab, run_jobs

ADA, OTHER = "ada@mail.example", "five geese in a field"


def send(page: Any, form: str = "form", **fields: str) -> None:
    """Fill the fields of a form, and send it."""
    for name, value in fields.items():
        page.fill(f"{form} [name={name}]", value)
    page.click(f"{form} button")


def link_in_mail(app: App, live_server: str) -> str:
    """The path of the link in the newest mail."""
    with app.app_context():
        text = kept_mails()[0]["text"]
    (link,) = [line for line in text.split() if line.startswith(f"{live_server}/")]
    return str(link.removeprefix(live_server))


def sign_in(tab: Tab, email: str, password: str) -> Any:
    """Sign in on the page for it; return the page of the account."""
    page = tab.open("/accounts/sign-in")
    send(page, email=email, password=password)
    page.wait_for_selector("#sessions")
    page.wait_for_load_state("networkidle")
    return page


def test_the_pages_need_no_caller_and_show_no_secret(client: Client) -> None:
    for path in ("", "sign-in", "register", "forgot", "verify", "reset", "move"):
        response = client.get(f"/accounts/{path}")
        assert response.mimetype == "text/html"
        assert "<form" in response.text or path == ""
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert client.get("/accounts/pages.js").mimetype == "text/javascript"


def test_the_account_of_a_session_is_shown_to_it(client: Client, app: App) -> None:
    with app.app_context():
        create_user("<b>@mail.example", "editor").write({"name": "<i>Ada</i>"})
        commit()
    body = {"email": "<b>@mail.example", "password": PASSWORD}
    assert "not signed in" in client.get("/accounts/").text
    client.post("/accounts/session", json=body)
    text = client.get("/accounts/").text
    assert "&lt;i&gt;Ada&lt;/i&gt;" in text and "<i>Ada" not in text
    assert "this one" in text and "not signed in" not in text


@pytest.mark.external
def test_a_person_signs_up_and_calls_a_route_from_the_documentation(
    own_app: App, live_server: str, chromium: Any
) -> None:
    own_app.config["PUBLIC_URL"] = live_server
    with Tab(chromium, live_server, "account") as tab:
        page = tab.open("/accounts/register")
        send(page, email=ADA, password=PASSWORD, name="Ada")
        page.wait_for_selector("output.done")
        run_jobs(own_app)
        page = tab.open(link_in_mail(own_app, live_server))
        assert page.url == f"{live_server}/accounts/verify"
        send(page, password=PASSWORD)
        page.wait_for_url("**/accounts/sign-in", wait_until="networkidle")
        page = sign_in(tab, ADA, PASSWORD)
        assert page.get_by_text("readonly").count() == 1
        make_editor(own_app)
        page = sign_in(tab, ADA, PASSWORD)
        page = tab.open("/catalog/docs")
        page.locator(".opblock-post [data-path='/catalog/directors/']").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        shown = page.locator(".live-responses-table tbody .response-col_status").first
        assert shown.inner_text().startswith("201")


def make_editor(app: App) -> None:
    """Let Ada write films."""
    command = ["users", "set-role", ADA, "editor"]
    outcome = app.test_cli_runner().invoke(args=command)
    assert outcome.exit_code == 0, outcome.output


@pytest.mark.external
def test_a_new_password_ends_the_session_of_the_other_browser(
    own_app: App, live_server: str, chromium: Any
) -> None:
    with own_app.app_context():
        create_user(ADA)
        commit()
    with Tab(chromium, live_server, "account-other") as other:
        sign_in(other, ADA, PASSWORD)
        with Tab(chromium, live_server, "account-sessions") as tab:
            page = sign_in(tab, ADA, PASSWORD)
            assert page.locator("#sessions tr").count() == 2
            send(page, "#password", old_password=PASSWORD, new_password=OTHER)
            page.wait_for_selector("#password output.done")
            page = tab.open("/accounts/")
            assert page.locator("#sessions tr").count() == 1
        assert "not signed in" in other.open("/accounts/").inner_text("main")


@pytest.mark.external
def test_a_forgotten_password_is_set_by_the_link_of_the_mail(
    own_app: App, live_server: str, chromium: Any
) -> None:
    own_app.config["PUBLIC_URL"] = live_server
    with own_app.app_context():
        create_user(ADA)
        commit()
    with Tab(chromium, live_server, "account-reset") as tab:
        page = tab.open("/accounts/forgot")
        send(page, email=ADA)
        page.wait_for_selector("output.done")
        run_jobs(own_app)
        page = tab.open(link_in_mail(own_app, live_server))
        send(page, password=OTHER)
        page.wait_for_url("**/accounts/sign-in", wait_until="networkidle")
        sign_in(tab, ADA, OTHER)


@pytest.mark.external
def test_a_wrong_password_is_told_on_the_page(
    own_app: App, live_server: str, chromium: Any
) -> None:
    with pytest.raises(AssertionError, match="401 for"):
        with Tab(chromium, live_server, "account-refused") as tab:
            page = tab.open("/accounts/sign-in")
            send(page, email=ADA, password=PASSWORD)
            page.wait_for_selector("output.failed")
            told = page.inner_text("output")
    assert told == "The address or the password is wrong."


@pytest.mark.external
def test_a_second_factor_is_turned_on_and_asked_for(
    own_app: App, live_server: str, chromium: Any
) -> None:
    with own_app.app_context():
        create_user(ADA)
        commit()
    with pytest.raises(AssertionError, match="401 for"):
        with Tab(chromium, live_server, "account-factor") as tab:
            page = sign_in(tab, ADA, PASSWORD)
            send(page, "#factor-secret", password=PASSWORD)
            page.wait_for_selector("#factor-secret output.done")
            secret = page.inner_text("#factor-secret output").splitlines()[1]
            send(page, "#factor-code", code=pyotp.TOTP(secret).now())
            page.wait_for_selector("#factor-code output.done")
            codes = page.inner_text("#factor-code output").splitlines()[1:]
            assert len(codes) == 10
            page = tab.open("/accounts/sign-in")
            send(page, email=ADA, password=PASSWORD)
            page.wait_for_selector("[data-when='/code']:visible")
            send(page, code=codes[0])
            page.wait_for_selector("#sessions")
            assert page.get_by_text("Turn it off").count() == 1
    assert all("401" in one for one in tab.complaints), tab.complaints
