"""Tokens and codes in the database: made, used once, and revoked.

Of two requests with one code or one refresh token, one gets tokens: each is consumed by
a single UPDATE. Whoever sends a code or a refresh token that was used before ends
everything that came of it (RFC 6749 section 4.1.2, RFC 9700 section 4.14.2); only right
after a refresh the same answer is given again, for a client whose answer was lost.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import delete, insert, select, update

from myapp.accounts import door
from myapp.core.model import unscoped
from myapp.core.stores.sql import rows, sql, write
from myapp.oauth.ended import end_sealed
from myapp.oauth.models import Client, Code, Consent, Token, digest_of

ACCESS, REFRESH = "myapp_at_", "myapp_rt_"
# The bytes of a secret, which nobody can guess.
SECRET_BYTES = 32
CODE_LIFETIME = timedelta(seconds=60)
# How long after a refresh its answer is given again.
GRACE = timedelta(seconds=10)

CLIENTS, CONSENTS = Client.table(), Consent.table()
CODES, TOKENS = Code.__table__, Token.__table__


@dataclass
class Granted:
    """What a code or a token stands for, as Authlib asks for it.

    :param redirect_uri: of a code, as it was sent; empty when it was left out.
    :param is_replay: whether a refresh token has just been used.
    """

    client_id: str
    user_id: str | None
    consent_id: str | None
    scopes: list[str]
    resource: str | None
    created_at: datetime
    expires_at: datetime
    text: str
    redirect_uri: str = ""
    code_challenge: str = ""
    is_refresh: bool = False
    is_replay: bool = False
    code_challenge_method = "S256"

    def get_redirect_uri(self) -> str:
        """The redirect URI of a code."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """The scopes, RFC 6749 section 3.3."""
        return " ".join(self.scopes)

    def check_client(self, client: Any) -> bool:
        """Whether a client has it."""
        return bool(client.get_client_id() == self.client_id)

    def is_expired(self) -> bool:
        """Whether it is over."""
        return self.expires_at <= now()

    def is_revoked(self) -> bool:
        """Never: a revoked one is not stored any more."""
        return False


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def new_secret(prefix: str = "") -> str:
    """A text that nobody can guess."""
    return prefix + secrets.token_urlsafe(SECRET_BYTES)


def seconds(setting: str) -> timedelta:
    """A setting that is a time."""
    return timedelta(seconds=current_app.config[setting])


def add_consent(
    client: Any, user_id: str, scopes: list[str], resource: str | None, lives: timedelta
) -> str:
    """Store what a user has allowed a client; return its id."""
    with unscoped():
        document = Consent.new_document({}) | {
            "client_id": client.get_client_id(),
            "client_name": client.name,
            "user_id": user_id,
            "scopes": scopes,
            "resource": resource,
            "session": door.session_here() or None,
            "expires_at": now() + lives,
        }
        Consent.insert([document])
    return str(document["id"])


def add_code(consent_id: str, redirect_uri: str, challenge: str) -> str:
    """Store a code of a consent; return its text."""
    text = new_secret()
    write(
        insert(CODES),
        {
            "digest": digest_of(text),
            "consent_id": consent_id,
            "redirect_uri": redirect_uri,
            "challenge": challenge,
            "expires_at": now() + CODE_LIFETIME,
        },
    )
    return text


def use_code(text: str, client_id: str) -> Granted | None:
    """What a code of a client stands for, once; ``None`` for any other. A second use
    ends what came of the first one."""
    asked = select(CODES, CONSENTS).join(CONSENTS, CONSENTS.c.id == CODES.c.consent_id)
    is_it = CODES.c.digest == digest_of(text)
    asked = asked.where(is_it, CONSENTS.c.client_id == client_id)
    seen = rows(asked, newest=True)
    if not seen or not hold_consent(seen[0].consent_id):
        return None
    is_fresh = (CODES.c.used_at.is_(None), CODES.c.expires_at > now())
    used = write(update(CODES).where(is_it, *is_fresh).values(used_at=now())).rowcount
    # A lock sees what was committed after this transaction began.
    row = first(asked.with_for_update())
    if row is None:
        return None
    if used:
        return Granted(
            *(row.client_id, row.user_id, row.consent_id, row.scopes, row.resource),
            *(row.created_at, row.expires_at, text, row.redirect_uri, row.challenge),
        )
    if row.used_at is not None:
        end_consent(row.consent_id)
    return None


def use_refresh_token(text: str, client_id: str) -> Granted | None:
    """What a refresh token of a client stands for, once; ``None`` for any other. A
    second use ends what came of it, unless it follows at once."""
    is_it = (
        *(TOKENS.c.digest == digest_of(text), TOKENS.c.client_id == client_id),
        *(TOKENS.c.is_refresh, TOKENS.c.expires_at > now()),
    )
    seen = find_token(text)
    if seen is None or not hold_consent(seen.consent_id):
        return None
    fresh = update(TOKENS).where(*is_it, TOKENS.c.used_at.is_(None))
    used = write(fresh.values(used_at=now())).rowcount
    row = first(select(TOKENS).where(*is_it).with_for_update())
    if row is None:
        return None
    found = granted(row, text)
    if used:
        return found
    is_child = TOKENS.c.digest == digest_of(child_of(text, REFRESH))
    child = first(select(TOKENS).where(is_child).with_for_update())
    if child is not None and not child.used_at and row.used_at > now() - GRACE:
        found.is_replay = True
        access = find_token(child_of(text, ACCESS))
        found.scopes = access.scopes if access is not None else child.scopes
        return found
    end_consent(row.consent_id)
    return None


def hold_consent(id: str | None) -> bool:
    """Whether there is a consent; then nobody ends it before the end of this
    transaction. All take this lock first, so that no two wait for each other."""
    mine = select(CONSENTS.c.id).where(CONSENTS.c.id == id)
    return first(mine.with_for_update()) is not None


def hold_client(id: str) -> bool:
    """Whether there is a client; then nobody deletes it before the end of this
    transaction."""
    mine = select(CLIENTS.c.id).where(CLIENTS.c.id == id)
    return first(mine.with_for_update(read=True)) is not None


def granted(row: Any, text: str) -> Granted:
    """What the row of a token stands for."""
    return Granted(
        *(row.client_id, row.user_id, row.consent_id, row.scopes, row.resource),
        *(row.created_at, row.expires_at, text),
        is_refresh=row.is_refresh,
    )


def find_token(text: str) -> Any:
    """The row of a token; ``None`` when there is none, or it is over."""
    is_it = (TOKENS.c.digest == digest_of(text), TOKENS.c.expires_at > now())
    found = rows(select(TOKENS).where(*is_it), newest=True)
    return found[0] if found else None


def find_consent(id: str) -> Any:
    """The row of a consent; ``None`` when there is none."""
    return first(select(CONSENTS).where(CONSENTS.c.id == id))


def first(statement: Any) -> Any:
    """The first row of a statement, in the transaction of this request."""
    return sql.session.connection().execute(statement).first()


def child_of(text: str, prefix: str) -> str:
    """The token that follows a refresh token. It can be told again, though it is not
    stored: only who knows both the token and the key of this server can make it."""
    key = current_app.config["SECRET_KEY"].encode()
    made = hmac.new(key, f"{prefix} after {text}".encode(), hashlib.sha256)
    return prefix + made.hexdigest()


def store_token(text: str, lives: timedelta, of: Granted, is_refresh: bool) -> None:
    """Store a token."""
    write(
        insert(TOKENS),
        {
            "digest": digest_of(text),
            "is_refresh": is_refresh,
            "client_id": of.client_id,
            "consent_id": of.consent_id,
            "user_id": of.user_id,
            "scopes": of.scopes,
            "resource": of.resource,
            "created_at": now(),
            "expires_at": now() + lives,
        },
    )


def prolong_consent(id: str, lives: timedelta) -> None:
    """Let a consent live as long as its tokens."""
    mine = update(CONSENTS).where(CONSENTS.c.id == id)
    write(mine.values(expires_at=now() + lives))


def end_consent(id: str | None) -> None:
    """End a consent, with its codes and tokens."""
    if id is not None and hold_consent(id):
        write(delete(CONSENTS).where(CONSENTS.c.id == id))
        end_sealed(id)


def end_token(token: Granted) -> None:
    """End a token; with a refresh token ends all that came of its consent."""
    if token.is_refresh:
        end_consent(token.consent_id)
    else:
        write(delete(TOKENS).where(TOKENS.c.digest == digest_of(token.text)))


def end_consents(user_id: str) -> None:
    """End all that a user has allowed."""
    write(delete(CONSENTS).where(CONSENTS.c.user_id == user_id))


def drop_old() -> int:
    """Delete the tokens and consents that are over; return their number."""
    old = write(delete(TOKENS).where(TOKENS.c.expires_at <= now())).rowcount
    left = select(TOKENS.c.digest).where(TOKENS.c.consent_id == CONSENTS.c.id)
    is_over = CONSENTS.c.expires_at <= now()
    gone = delete(CONSENTS).where(is_over, ~left.exists())
    return old + write(gone).rowcount
