"""Clients for tests, and for the matrix of access."""

from collections.abc import Mapping
from typing import Any

from myapp.core.model import Record
from myapp.oauth.clients import OAuthClient, add_client, find_client
from myapp.oauth.models import CLIENT, CODE, REFRESH, Consent
from myapp.oauth.tokens import add_consent, seconds

CALLBACK = "https://films.example/callback"
# Those that are there whatever other features are mounted.
OWN_SCOPES = ["accounts:read"]


def client_body(**overrides: Any) -> dict[str, Any]:
    """The body of a confidential client."""
    return {
        "name": "Film club",
        "is_confidential": True,
        "grants": [CODE, REFRESH, CLIENT],
        "redirect_uris": [CALLBACK],
        "scopes": ["accounts:read", "carts:read", "carts:write", "catalog:write"],
        **overrides,
    }


def create_client(owner_id: str | None = None, **overrides: Any) -> tuple[Record, str]:
    """A stored client, and its secret."""
    role = overrides.pop("role", "readonly")
    return add_client(client_body(**overrides), owner_id, role)


def create_consent(user_id: str) -> Record:
    """What a user has allowed a client."""
    made, _ = create_client(scopes=OWN_SCOPES)
    found: OAuthClient | None = find_client(made.id)
    lives = seconds("OAUTH_CONSENT_LIFETIME")
    return Consent.get_or_404(add_consent(found, user_id, OWN_SCOPES, None, lives))


def record_for_matrix(
    ids: Mapping[str, str], _roles: Mapping[str, str], model: Any
) -> Record:
    """A client of the caller called owner, or what it has allowed one.

    :param ids: the ids of the callers.
    :param model: of the record.
    """
    if model is Consent:
        return create_consent(ids["owner"])
    return create_client(ids["owner"], scopes=OWN_SCOPES)[0]
