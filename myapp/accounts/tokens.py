"""Personal access tokens: a user makes one for a script, with a name, scopes, an end.

The text begins with ``myapp_pat_``, by which scanners of secrets know it. It is told
once, and only its digest is stored.
"""

import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, current_app
from redis import RedisError
from sqlalchemy import bindparam, delete, select

from myapp.accounts.links import digest_of_token
from myapp.accounts.models import PersonalToken, User
from myapp.accounts.sessions import role_of_session
from myapp.core.access import Authenticator, Caller, add_authenticator, roles_up_to
from myapp.core.errors import Problem, problem_at
from myapp.core.http import invalid_token, known_scopes, sent_token
from myapp.core.model import unscoped
from myapp.core.schema import JSON
from myapp.core.stores.redis import redis_store
from myapp.core.stores.sql import rows, write

PREFIX = "myapp_pat_"
# The bytes of a token, which nobody can guess.
RANDOM_BYTES = 32
MOST_TOKENS = 50
# Seconds after which a process notes again that a token is in use.
NOTE_AFTER = 60.0
# Milliseconds that the last use is known.
USE_KEPT = 400 * 24 * 3600 * 1000
# How many tokens a process remembers to have noted.
MOST_NOTED = 10_000

TOKENS, USERS = PersonalToken.table(), User.table()
OF_DIGEST = (
    select(
        *(TOKENS.c.id, TOKENS.c.user_id, TOKENS.c.scopes, TOKENS.c.expires_at),
        *(USERS.c.role, USERS.c.totp_secret),
    )
    .join(USERS, USERS.c.id == TOKENS.c.user_id)
    .where(TOKENS.c.digest == bindparam("digest"))
)
noted: dict[str, float] = {}


def authenticate_token() -> Caller | None:
    """The caller of the personal token of this request; ``None`` without one.

    :raises Problem: 401 for a token that is wrong, or over.
    """
    token = sent_token()
    if token is None or not token.startswith(PREFIX):
        return None
    asked = {"digest": digest_of_token(token)}
    found = rows(OF_DIGEST, asked, newest=True)
    if not found or found[0].expires_at <= datetime.now(UTC):
        raise invalid_token()
    row = found[0]
    caller = Caller(
        row.user_id, roles_up_to(role_of_session(row._mapping)), frozenset(row.scopes)
    )
    if caller.is_disabled:
        raise invalid_token()
    note_use(row.id)
    return caller


def note_use(id: str) -> None:
    """Note when a token was used, once a minute at most in each process. Nothing waits
    for it, and a request goes on without it."""
    now = time.monotonic()
    if now < noted.get(id, 0.0):
        return
    if len(noted) >= MOST_NOTED:
        noted.clear()
    noted[id] = now + NOTE_AFTER
    with suppress(RedisError):
        redis_store.set(use_of(id), datetime.now(UTC).isoformat(), px=USE_KEPT)


def use_of(id: str) -> str:
    """The key of the last use of a token."""
    return f"token-used:{id}"


def add_token(user_id: str, body: JSON) -> JSON:
    """Make a token of a user.

    :param body: its name, its scopes and its end, validated.
    :returns: what clients see of it, with its text, which is not told again.
    :raises Problem: 409 for too many tokens; 422 for an unknown scope, or an end that
        is past or too far away.
    """
    fields = PersonalToken.stored(body)
    check_token(body["scopes"], fields["expires_at"])
    mine = select(TOKENS.c.id).where(TOKENS.c.user_id == user_id)
    if len(rows(mine)) >= MOST_TOKENS:
        raise Problem("conflict", f"There are {MOST_TOKENS} tokens. Delete one first.")
    token = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    own = {"user_id": user_id, "digest": digest_of_token(token)}
    with unscoped():
        document = PersonalToken.new_document(fields) | own
        PersonalToken.insert([document])
    return PersonalToken.show(document) | {"last_used_at": None, "token": token}


def check_token(scopes: list[str], expires_at: datetime) -> None:
    """Refuse scopes that no route asks for, and a life that is no life.

    :raises Problem: 422.
    """
    known, errors = known_scopes(current_app), []
    for index, scope in enumerate(scopes):
        if scope not in known:
            detail = f"must be one of {', '.join(known)}"
            errors.append(problem_at(f"/scopes/{index}", detail, "scope"))
    left = expires_at - datetime.now(UTC)
    longest = timedelta(seconds=current_app.config["TOKEN_LIFETIME"])
    if not timedelta() < left <= longest:
        detail = f"must be in the next {longest.days} days"
        errors.append(problem_at("/expires_at", detail, "lifetime"))
    if errors:
        raise Problem("unprocessable", errors=errors)


def tokens_of(user_id: str) -> list[JSON]:
    """The tokens of a user, the newest one first, with their last uses."""
    mine = select(TOKENS).where(TOKENS.c.user_id == user_id)
    found = [dict(row._mapping) for row in rows(mine.order_by(TOKENS.c.id.desc()))]
    if not found:
        return []
    uses = redis_store.mget([use_of(one["id"]) for one in found])
    return [
        PersonalToken.show(one) | {"last_used_at": use.decode() if use else None}
        for one, use in zip(found, uses)
    ]


def drop_token(user_id: str, id: str) -> None:
    """Delete a token of a user.

    :raises Problem: 404.
    """
    with unscoped():
        found = PersonalToken.read([id])
        if not found or found[0]["user_id"] != user_id:
            raise Problem("not-found")
        PersonalToken.discard(found)


def drop_tokens(user_id: str) -> None:
    """Delete all tokens of a user."""
    mine = select(TOKENS).where(TOKENS.c.user_id == user_id)
    with unscoped():
        PersonalToken.discard([dict(row._mapping) for row in rows(mine)])


def drop_old_tokens() -> int:
    """Delete the tokens that are over; return their number."""
    return write(
        delete(TOKENS).where(TOKENS.c.expires_at <= datetime.now(UTC))
    ).rowcount


def add_tokens(app: Flask) -> None:
    """Let personal tokens say who calls."""
    scheme: dict[str, Any] = {"type": "http", "scheme": "bearer"}
    add_authenticator(
        app,
        Authenticator("token", authenticate_token, scheme, "Bearer", has_scopes=True),
    )
