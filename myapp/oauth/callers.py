"""The bearer tokens of OAuth as callers, RFC 6750."""

from typing import Any

from flask import request
from sqlalchemy import bindparam, func, select

from myapp.accounts import door
from myapp.core.access import Authenticator, Caller, add_authenticator, roles_up_to
from myapp.core.http import invalid_token, sent_token
from myapp.core.stores.sql import rows
from myapp.oauth.encrypted import encrypted_caller
from myapp.oauth.models import digest_of
from myapp.oauth.resources import is_for
from myapp.oauth.signed import signed_caller
from myapp.oauth.tokens import ACCESS, CLIENTS, TOKENS, now

USERS = door.USERS
# Its user, or the owner of a client that calls for itself.
OF_DIGEST = (
    select(
        *(TOKENS.c.user_id, TOKENS.c.client_id, TOKENS.c.scopes, TOKENS.c.resource),
        *(TOKENS.c.expires_at, CLIENTS.c.owner_id, CLIENTS.c.role.label("own_role")),
        *(USERS.c.id.label("person"), USERS.c.role, USERS.c.totp_secret),
    )
    .join(CLIENTS, CLIENTS.c.id == TOKENS.c.client_id)
    .outerjoin(USERS, USERS.c.id == func.coalesce(TOKENS.c.user_id, CLIENTS.c.owner_id))
    .where(TOKENS.c.digest == bindparam("digest"), ~TOKENS.c.is_refresh)
)


def authenticate_bearer() -> Caller | None:
    """The caller of the access token of this request; ``None`` without one.

    :raises Problem: 401 for a token that is wrong, over or revoked, or for another
        resource.
    """
    token = sent_token()
    if token is None:
        return None
    if "." in token:
        return sealed_bearer(token)
    if not token.startswith(ACCESS):
        return None
    known = rows(OF_DIGEST, {"digest": digest_of(token)}, newest=True)
    if (
        not known
        or known[0].expires_at <= now()
        or not is_for(known[0].resource, request.path)
    ):
        raise invalid_token()
    caller = caller_of(known[0])
    if caller is None or caller.is_disabled:
        raise invalid_token()
    return caller


def sealed_bearer(token: str) -> Caller:
    """The caller of a signed or an encrypted token.

    :raises Problem: 401.
    """
    is_signed = token.count(".") == 2
    caller_in = signed_caller if is_signed else encrypted_caller
    caller = caller_in(token, request.path)
    if caller is None or caller.is_disabled:
        raise invalid_token()
    return caller


def caller_of(row: Any) -> Caller | None:
    """The caller of the row of a token; ``None`` when its user is gone."""
    if row.person is None and (row.user_id or row.owner_id):
        return None
    scopes = frozenset(row.scopes)
    person = roles_up_to(door.role_of(row._mapping)) if row.person else None
    if row.user_id:
        return Caller(row.user_id, person or frozenset(), scopes)
    own = roles_up_to(row.own_role)
    return Caller(row.client_id, own if person is None else own & person, scopes)


def add_bearers(app: Any, prefix: str) -> None:
    """Let access tokens say who calls.

    :param prefix: where the feature is mounted.
    """
    token = {"tokenUrl": f"{prefix}/token", "scopes": {}}
    code = {"authorizationUrl": f"{prefix}/authorize", **token}
    flows = {"authorizationCode": code, "clientCredentials": token}
    scheme = {"type": "oauth2", "flows": flows}
    add_authenticator(
        app, Authenticator("oauth", authenticate_bearer, scheme, has_scopes=True)
    )
