"""Sign in with others in a browser: a new account, and the page that unlinks it."""

from typing import Any

import pytest

from myapp.core.http import App
from myapp.core.testing import Tab
from myapp.openid.test_issuer import providers_of, running_issuer


@pytest.mark.external
def test_a_person_signs_in_with_another_server(
    own_app: App, live_server: str, chromium: Any
) -> None:
    with (
        running_issuer() as issuer,
        providers_of(own_app, issuer),
        Tab(chromium, live_server, "openid-identities", issuer.url) as tab,
    ):
        page = tab.open("/accounts/sign-in?next=/openid/")
        assert page.locator("[name=code]").is_hidden()
        page.screenshot(path=tab.picture.with_name("openid-sign-in.png"))
        page.get_by_text("Sign in with Staff").click()
        page.get_by_role("button", name="Make an account").wait_for()
        assert "ada@mail.example" in page.inner_text("main")
        page.screenshot(path=tab.picture.with_name("openid-confirm.png"))
        page.get_by_role("button", name="Make an account").click()
        page.wait_for_selector("#identities")
        assert "staff" in page.inner_text("#identities")

        tab.open("/accounts/").get_by_text("Sign out").click()
        page.get_by_text("Sign in with Staff").wait_for()
        tab.open("/accounts/sign-in?next=/openid/")
        page.get_by_text("Sign in with Staff").click()
        page.wait_for_selector("#identities")
        page.get_by_text("Unlink").click()
        page.get_by_text("You sign in with your password alone.").wait_for()
