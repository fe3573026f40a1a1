"""The pages of accounts: plain HTML, and one script that sends its forms as JSON.

A form states in its attributes where it goes and what comes then; the routes of
accounts do the work, as for any other client.
"""

import re
from pathlib import Path
from typing import Any

from flask import Response, request, send_file, url_for

from myapp.accounts.door import is_user
from myapp.accounts.endpoints import blueprint
from myapp.accounts.service import user_of
from myapp.accounts.sessions import sessions_of
from myapp.core.access import current_caller, public
from myapp.core.docs import page, undescribed

SCRIPT = Path(__file__).with_name("pages.js")
# A path, which no browser reads as another host: neither //host nor /\\host.
LOCAL_PATH = re.compile(r"/([^/\\\s][^\\\s]*)?")
#: The pages that anybody sees. Mails have links to the last three.
PAGES = ("sign-in", "register", "forgot", "verify", "reset", "move")


@blueprint.get("/")
@public
@undescribed
def account_page() -> Response:
    """Show one's own account and its sessions, or the way to sign in."""
    caller = current_caller()
    if caller is None or caller.scopes is not None or not is_user(caller.id):
        return page("accounts/pages/nobody.html")
    user = user_of(caller.id).as_json()
    sessions = sessions_of(user["id"])
    return page("accounts/pages/account.html", user=user, sessions=sessions)


def page_of(name: str) -> Any:
    """A view function that shows a page."""

    @public
    @undescribed
    def show() -> Response:
        return page(f"accounts/pages/{name}.html", next=next_page())

    return show


def next_page() -> str:
    """The page of this server that a sign-in leads to: that in the URL, when it is a
    path here, else one's own account."""
    place = request.args.get("next", "")
    is_ours = LOCAL_PATH.fullmatch(place) is not None
    return place if is_ours else url_for("accounts.account_page")


for name in PAGES:
    blueprint.add_url_rule(f"/{name}", f"page_{name}", page_of(name))


@blueprint.get("/pages.js")
@public
@undescribed
def pages_script() -> Response:
    """The script of the pages."""
    return send_file(SCRIPT)
