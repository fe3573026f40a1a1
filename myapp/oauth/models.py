"""The tables of OAuth: clients, what users have allowed them, codes and tokens.

A consent is what came of one authorization: deleting it ends each of its tokens.
Clients, codes and tokens have a secret, of which only the digest is stored.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from flask import current_app
from sqlalchemy import CHAR, JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from myapp.core.errors import problem_at
from myapp.core.http import known_scopes
from myapp.core.model import Change
from myapp.core.stores.sql import Id, SqlModel, UtcDateTime, Varchar, sql
from myapp.oauth.ended import end_sealed
from myapp.oauth.redirects import refusal_of

#: The grants of RFC 6749; a user name and a password are a grant of former times.
CODE, REFRESH, CLIENT = "authorization_code", "refresh_token", "client_credentials"
PASSWORD = "password"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS = [CODE, REFRESH, CLIENT, DEVICE, PASSWORD]
#: The kinds of access tokens.
OPAQUE, SIGNED, ENCRYPTED = "opaque", "jwt", "jwe"
SCOPE = {"type": "string", "minLength": 1, "maxLength": 100}
MOST_IN_URI = 500


class Client(SqlModel):
    """A program that gets tokens. Its id is its ``client_id``."""

    __tablename__ = "oauth_clients"
    audited = True
    owner_field = "owner_id"
    scoped_by = ("owner_id",)
    searchable = ("name",)
    server_properties = {
        "owner_id": {"type": "string", "format": "uuid"},
        "secret_digest": {"type": "string", "maxLength": 64},
        "role": {"type": "string", "maxLength": 20},
    }
    hidden = ("secret_digest",)
    write_schema = {
        "$id": "/schemas/client.write.json",
        "title": "An OAuth client, as written",
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 100},
            "is_confidential": {
                "type": "boolean",
                "default": True,
                "description": "Whether it can keep a secret, as a server can.",
            },
            "grants": {
                "type": "array",
                "items": {"type": "string", "enum": GRANTS},
                "minItems": 1,
                "uniqueItems": True,
            },
            "redirect_uris": {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": MOST_IN_URI},
                "maxItems": 20,
                "uniqueItems": True,
                "default": [],
            },
            "scopes": {
                "type": "array",
                "items": SCOPE,
                "minItems": 1,
                "maxItems": 100,
                "uniqueItems": True,
            },
            "access_tokens": {
                "type": "string",
                "enum": [OPAQUE, SIGNED, ENCRYPTED],
                "default": OPAQUE,
                "description": "Opaque ones end at once when they are revoked; signed "
                "ones (JWT, RFC 9068) are read without a look-up, and end by "
                "themselves; encrypted ones (JWE, RFC 7516) end with the consent, and "
                "with the session in which the user has given it, and those of a "
                "client that calls for itself are opaque.",
            },
        },
        "required": ["name", "grants", "scopes"],
        "additionalProperties": False,
        "examples": [
            {
                "name": "Film club",
                "is_confidential": True,
                "grants": [CODE, REFRESH],
                "redirect_uris": ["https://films.example/callback"],
                "scopes": ["carts:read", "carts:write"],
            }
        ],
    }

    name: Mapped[str] = mapped_column(Varchar(100))
    is_confidential: Mapped[bool]
    grants: Mapped[list[Any]] = mapped_column(JSON)
    redirect_uris: Mapped[list[Any]] = mapped_column(JSON)
    scopes: Mapped[list[Any]] = mapped_column(JSON)
    # Accounts may be removed without OAuth, so no foreign key holds users.
    access_tokens: Mapped[str] = mapped_column(Varchar(10), server_default=OPAQUE)
    owner_id: Mapped[str | None] = mapped_column(Id)
    secret_digest: Mapped[str | None] = mapped_column(CHAR(64))
    # That of the client when it calls for itself; at most that of its owner then.
    role: Mapped[str] = mapped_column(Varchar(20))

    @classmethod
    def after_write(cls, change: Change) -> None:
        """The tokens of a client that is deleted end."""
        if change.after is None and change.before is not None:
            end_sealed(change.before["id"])

    @classmethod
    def check(cls, document: Any, before: Any) -> Iterator[dict[str, str]]:
        """Its redirect URIs, grants and scopes fit together."""
        for index, uri in enumerate(document["redirect_uris"]):
            told = refusal_of(uri)
            if told:
                yield problem_at(f"/redirect_uris/{index}", told, "redirect-uri")
        if CODE in document["grants"] and not document["redirect_uris"]:
            yield problem_at("/redirect_uris", f"{CODE} needs one", "redirect-uri")
        needs_secret = {CLIENT, PASSWORD} & set(document["grants"])
        if needs_secret and not document["is_confidential"]:
            told = f"{', '.join(sorted(needs_secret))}: only with is_confidential"
            yield problem_at("/grants", told, "grants")
        if before and before["is_confidential"] != document["is_confidential"]:
            yield problem_at("/is_confidential", "cannot be changed", "constant")
        known = known_scopes(current_app)
        for index, scope in enumerate(document["scopes"]):
            if scope not in known:
                told = f"must be one of {', '.join(known)}"
                yield problem_at(f"/scopes/{index}", told, "scope")


class Consent(SqlModel):
    """What a user has allowed a client."""

    __tablename__ = "oauth_consents"
    owner_field = "user_id"
    filterable = ("client_id",)
    scoped_by = ("user_id",)
    hidden = ("user_id", "session")
    server_properties = {
        "client_id": {"type": "string", "format": "uuid"},
        "client_name": {"type": "string", "maxLength": 100},
        "user_id": {"type": "string", "format": "uuid"},
        "scopes": {"type": "array", "items": SCOPE},
        "resource": {"type": "string", "maxLength": MOST_IN_URI},
        "session": {"type": "string", "maxLength": 64},
        "expires_at": {"type": "string", "format": "date-time"},
    }
    # Clients read and delete consents; a user makes them on a page.
    write_schema = {
        "$id": "/schemas/consent.write.json",
        "title": "A consent, as written",
        "type": "object",
        "properties": {},
        "additionalProperties": False,
        "examples": [{}],
    }

    client_id: Mapped[str] = mapped_column(
        Id, ForeignKey("oauth_clients.id", ondelete="CASCADE")
    )
    client_name: Mapped[str] = mapped_column(Varchar(100))
    user_id: Mapped[str] = mapped_column(Id)
    scopes: Mapped[list[Any]] = mapped_column(JSON)
    resource: Mapped[str | None] = mapped_column(Varchar(MOST_IN_URI))
    # In which the user has allowed it; encrypted tokens end with it.
    session: Mapped[str | None] = mapped_column(CHAR(64))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Code(sql.Model):  # type: ignore[name-defined,misc]  # made at run time
    """An authorization code, which is used once."""

    __tablename__ = "oauth_codes"

    digest: Mapped[str] = mapped_column(CHAR(64), primary_key=True)
    consent_id: Mapped[str] = mapped_column(
        Id, ForeignKey("oauth_consents.id", ondelete="CASCADE"), index=True
    )
    # As it was sent; empty when it was left out.
    redirect_uri: Mapped[str] = mapped_column(Varchar(MOST_IN_URI))
    challenge: Mapped[str] = mapped_column(Varchar(128))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Token(sql.Model):  # type: ignore[name-defined,misc]  # made at run time
    """An access token or a refresh token."""

    __tablename__ = "oauth_tokens"

    digest: Mapped[str] = mapped_column(CHAR(64), primary_key=True)
    is_refresh: Mapped[bool]
    client_id: Mapped[str] = mapped_column(
        Id, ForeignKey("oauth_clients.id", ondelete="CASCADE"), index=True
    )
    # Both are unset when a client calls for itself.
    consent_id: Mapped[str | None] = mapped_column(
        Id, ForeignKey("oauth_consents.id", ondelete="CASCADE"), index=True
    )
    user_id: Mapped[str | None] = mapped_column(Id)
    scopes: Mapped[list[Any]] = mapped_column(JSON)
    resource: Mapped[str | None] = mapped_column(Varchar(MOST_IN_URI))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    # When a refresh token was exchanged for the next one.
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Device(sql.Model):  # type: ignore[name-defined,misc]  # made at run time
    """What a device without a browser asks for; it waits for its user."""

    __tablename__ = "oauth_devices"

    digest: Mapped[str] = mapped_column(CHAR(64), primary_key=True)
    user_digest: Mapped[str] = mapped_column(CHAR(64), unique=True)
    client_id: Mapped[str] = mapped_column(
        Id, ForeignKey("oauth_clients.id", ondelete="CASCADE"), index=True
    )
    # What the user has allowed it.
    consent_id: Mapped[str | None] = mapped_column(
        Id, ForeignKey("oauth_consents.id", ondelete="CASCADE"), index=True
    )
    is_denied: Mapped[bool]
    scopes: Mapped[list[Any]] = mapped_column(JSON)
    resource: Mapped[str | None] = mapped_column(Varchar(MOST_IN_URI))
    # When it has asked last, and the seconds until it may ask again.
    polled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    wait: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


def digest_of(secret: str) -> str:
    """What is stored of a secret, which is random: a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()
