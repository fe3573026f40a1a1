"""The tables of accounts: users, and the links that were mailed to them."""

import unicodedata
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from flask import current_app
from sqlalchemy import CHAR, JSON, ForeignKey, select
from sqlalchemy.orm import Mapped, mapped_column

from myapp.core.access import Caller
from myapp.core.errors import problem_at
from myapp.core.mail import check_address
from myapp.core.model import NOTHING, Computed, Record, equal
from myapp.core.stores.sql import Id, SqlModel, UtcDateTime, Varchar, rows, sql

# The longest address that mail servers take (RFC 5321 section 4.5.3.1.3).
MOST_IN_ADDRESS = 254
EMAIL = {"type": "string", "format": "email", "maxLength": MOST_IN_ADDRESS}
NAME = {"type": "string", "minLength": 1, "maxLength": 100}
ROLE = {"type": "string", "maxLength": 20}


def read_address(text: str) -> str:
    """An address as mails are sent to it.

    :raises Problem: 422 when it is none.
    """
    return check_address(unicodedata.normalize("NFKC", text).strip())


def key_of_address(address: str) -> str:
    """What two spellings of one address have in common: no mail server tells names
    apart by their case, though RFC 5321 section 2.4 lets it."""
    return unicodedata.normalize("NFKC", address).strip().casefold()


class User(SqlModel):
    """A person who can sign in; a user whose address is not verified cannot yet."""

    __tablename__ = "accounts_users"
    filterable = ("email", "role", "verified_at")
    sortable = ("email",)
    searchable = ("email", "name")
    unique = ("email_key",)
    audited = True
    # They are gone when an account is deleted.
    unaudited = ("email", "name")
    server_properties = {
        "role": ROLE,
        "verified_at": {"type": "string", "format": "date-time"},
        "email_key": EMAIL,
        "password_hash": {"type": "string", "maxLength": 200},
        "totp_secret": {"type": "string", "maxLength": 64},
        "totp_waits": {"type": "string", "maxLength": 64},
        "recovery_codes": {"type": "array", "items": {"type": "string"}},
    }
    hidden = (
        *("email_key", "password_hash"),
        *("totp_secret", "totp_waits", "recovery_codes"),
    )
    computed = {
        "has_second_factor": Computed(
            {"type": "boolean"}, lambda user: user["totp_secret"] is not None
        )
    }

    write_schema = {
        "$id": "/schemas/user.write.json",
        "title": "A user, as written",
        "type": "object",
        "properties": {"email": EMAIL, "name": NAME},
        "required": ["email"],
        "additionalProperties": False,
        "examples": [{"email": "ada@mail.example", "name": "Ada"}],
    }

    email: Mapped[str] = mapped_column(Varchar(MOST_IN_ADDRESS))
    name: Mapped[str | None] = mapped_column(Varchar(100))
    role: Mapped[str] = mapped_column(Varchar(20))
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    email_key: Mapped[str] = mapped_column(Varchar(MOST_IN_ADDRESS))
    password_hash: Mapped[str] = mapped_column(Varchar(200))
    # The secret of the second factor, and one that is not confirmed yet.
    totp_secret: Mapped[str | None] = mapped_column(Varchar(64))
    totp_waits: Mapped[str | None] = mapped_column(Varchar(64))
    # The digests of the codes that are left.
    recovery_codes: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))

    @classmethod
    def related(cls, caller: Caller, relation: str) -> Any:
        """A user owns itself."""
        return (equal("id", caller.id),) if relation == "owner" else (NOTHING,)

    @classmethod
    def check(cls, document: Any, before: Any) -> Iterator[dict[str, str]]:
        """The role is one of the setting ``ROLES``."""
        roles = current_app.config["ROLES"]
        if document["role"] not in roles:
            yield problem_at("/role", f"must be one of {', '.join(roles)}", "enum")


class PersonalToken(SqlModel):
    """A token with which a script calls for its user. Only its digest is stored."""

    __tablename__ = "accounts_tokens"
    audited = True
    scoped_by = ("user_id",)
    server_properties = {
        "user_id": {"type": "string", "format": "uuid"},
        "digest": {"type": "string", "maxLength": 64},
    }
    hidden = ("user_id", "digest")
    write_schema = {
        "$id": "/schemas/token.write.json",
        "title": "A personal access token, as written",
        "type": "object",
        "properties": {
            "name": NAME,
            "scopes": {
                "type": "array",
                "items": {"type": "string", "maxLength": 100},
                "minItems": 1,
                "maxItems": 100,
                "uniqueItems": True,
            },
            "expires_at": {"type": "string", "format": "date-time"},
        },
        "required": ["name", "scopes", "expires_at"],
        "additionalProperties": False,
        "examples": [
            {
                "name": "Backup script",
                "scopes": ["carts:read"],
                "expires_at": "2030-01-01T00:00:00Z",
            }
        ],
    }

    name: Mapped[str] = mapped_column(Varchar(100))
    scopes: Mapped[list[Any]] = mapped_column(JSON)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    user_id: Mapped[str] = mapped_column(
        Id, ForeignKey("accounts_users.id", ondelete="CASCADE")
    )
    digest: Mapped[str] = mapped_column(CHAR(64), unique=True)


class Link(sql.Model):  # type: ignore[name-defined,misc]  # made at run time
    """A link that was mailed: it proves that its reader gets the mails of an address.
    Only the digest of its token is stored."""

    __tablename__ = "accounts_links"

    digest: Mapped[str] = mapped_column(CHAR(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(
        Id, ForeignKey("accounts_users.id", ondelete="CASCADE"), index=True
    )
    # What it is for, and the address that it was mailed to.
    purpose: Mapped[str] = mapped_column(Varchar(20))
    address: Mapped[str] = mapped_column(Varchar(MOST_IN_ADDRESS))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


def find_user(email: str) -> Record | None:
    """The user of an address, in any of its spellings, whoever calls."""
    table = User.table()
    found = rows(select(table).where(table.c.email_key == key_of_address(email)))
    return Record(User, dict(found[0]._mapping)) if found else None
