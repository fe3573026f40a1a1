"""The pages of accounts: plain HTML, and one script that sends its forms as JSON.

A form states in its attributes where it goes and what comes then; the routes of
accounts do the work, as for any other client.
"""

from pathlib import Path
from typing import Any

from flask import Response, request, send_file, url_for

from myapp.accounts.door import links_of, local_path, user_in_person
from myapp.accounts.endpoints import blueprint
from myapp.accounts.sessions import sessions_of
from myapp.core.access import public
from myapp.core.docs import page, undescribed

SCRIPT = Path(__file__).with_name("pages.js")
#: The pages that anybody sees. Mails have links to the last three.
PAGES = ("sign-in", "register", "forgot", "verify", "reset", "move")


@blueprint.get("/")
@public
@undescribed
def account_page() -> Response:
    """Show one's own account and its sessions, or the way to sign in."""
    found = user_in_person()
    if found is None:
        return page("accounts/pages/nobody.html")
    user, sessions = found.as_json(), sessions_of(found.id)
    links = list(links_of("account"))
    return page(
        "accounts/pages/account.html", user=user, sessions=sessions, links=links
    )


def page_of(name: str) -> Any:
    """A view function that shows a page."""

    @public
    @undescribed
    def show() -> Response:
        place = next_page()
        links = list(links_of(name, place))
        return page(f"accounts/pages/{name}.html", next=place, links=links)

    return show


def next_page() -> str:
    """The page of this server that a sign-in leads to: that in the URL, when it is a
    path here, else one's own account."""
    place = local_path(request.args.get("next", ""))
    return place or url_for("accounts.account_page")


for name in PAGES:
    blueprint.add_url_rule(f"/{name}", f"page_{name}", page_of(name))


@blueprint.get("/pages.js")
@public
@undescribed
def pages_script() -> Response:
    """The script of the pages."""
    return send_file(SCRIPT)
