"""The mails that the development server shows instead of sending: ``/dev/mail``."""

from flask import Blueprint, Response

from myapp.core.access.rules import public
from myapp.core.docs.browsing import HTML, wants_html
from myapp.core.docs.pages import page
from myapp.core.errors.problem import Problem
from myapp.core.http.response import respond
from myapp.core.mail.send import kept_mails

# What a mail may do in a browser: show its own styles and pictures, and nothing else.
MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data: https:"
)

blueprint = Blueprint("dev_mail", __name__, url_prefix="/dev/mail")


@blueprint.get("")
@public
def mails() -> Response:
    """Show the mails, the newest one first."""
    found = kept_mails()
    if wants_html():
        return page("mails.html", mails=found)
    response = respond({"items": found})
    response.vary.add("Accept")
    return response


@blueprint.get("/<id>")
@public
def mail_in_html(id: str) -> Response:
    """Show the HTML of a mail, without scripts."""
    for mail in kept_mails():
        if mail["id"] == id and mail["html"]:
            response = Response(mail["html"], mimetype=HTML)
            response.headers["Content-Security-Policy"] = MAIL_POLICY
            return response
    raise Problem("not-found")
