"""Clients as Authlib asks for them, and their secrets."""

import hmac
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin
from flask import current_app
from sqlalchemy import select

from myapp.core.model import Record, unscoped
from myapp.core.stores.sql import rows
from myapp.oauth.models import CODE, PASSWORD, Client, digest_of
from myapp.oauth.tokens import CLIENTS, new_secret

SECRET = "myapp_cs_"
#: How a client with a secret sends it, RFC 6749 section 2.3.1.
WITH_SECRET = ("client_secret_basic", "client_secret_post")


class OAuthClient(ClientMixin):
    """A client.

    :param row: of the table of clients.
    """

    def __init__(self, row: Any) -> None:
        self.row, self.name = row, row.name

    def get_client_id(self) -> str:
        """Its id."""
        return str(self.row.id)

    def get_default_redirect_uri(self) -> str | None:
        """Its redirect URI, if it has one alone (RFC 6749 section 3.1.2.3)."""
        uris = self.row.redirect_uris
        return uris[0] if len(uris) == 1 else None

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """The scopes that it gets when it asks for some; all of its own when it asks
        for none; ``None`` when one of them is not its own."""
        asked = self.row.scopes if scope is None else scope.split()
        return " ".join(asked) if asked and set(asked) <= set(self.row.scopes) else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether it has a redirect URI, in the same characters."""
        return redirect_uri in self.row.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether a secret is its own, in a time that tells nothing."""
        stored = self.row.secret_digest or ""
        return hmac.compare_digest(stored, digest_of(client_secret))

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Whether it says in this way who it is: a confidential client by its secret, a
        public one by its id alone."""
        return method in (WITH_SECRET if self.row.is_confidential else ("none",))

    def check_response_type(self, response_type: str) -> bool:
        """Whether it may ask for a code."""
        return response_type == "code" and CODE in self.row.grants

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether it may use a grant."""
        is_off = grant_type == PASSWORD and not current_app.config["OAUTH_PASSWORDS"]
        return grant_type in self.row.grants and not is_off


def find_client(client_id: str) -> OAuthClient | None:
    """The client with an id, whoever calls."""
    try:
        id = Client.key.parse(client_id)
    except ValueError:
        return None
    found = rows(select(CLIENTS).where(CLIENTS.c.id == id), newest=True)
    return OAuthClient(found[0]) if found else None


def add_client(body: Any, owner_id: str | None, role: str) -> tuple[Record, str]:
    """Make a client.

    :param body: validated.
    :param role: with which it calls for itself.
    :returns: the client and its secret, which is not told again; empty for a public
        client.
    :raises Problem: 422.
    """
    secret = new_secret(SECRET) if body.get("is_confidential", True) else ""
    with unscoped():
        document = Client.new_document(Client.stored(body)) | {
            "owner_id": owner_id,
            "secret_digest": digest_of(secret) if secret else None,
            "role": role,
        }
        Client.insert([document])
    return Record(Client, document), secret


def renew_secret(client: Record) -> str:
    """Give a confidential client another secret; the former one is of no use then."""
    secret = new_secret(SECRET)
    client.write({"secret_digest": digest_of(secret)})
    return secret
