"""Access tokens that need no look-up: signed JWTs, RFC 9068.

The keys are made of ``SECRET_KEY`` and, for tokens that are still around, of each of
``SECRET_KEY_FALLBACKS``: so all processes agree, and a key is changed as that is.
"""

import re
import secrets
import time
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from myapp.core.access import Caller, roles_up_to
from myapp.oauth.resources import is_for, is_resource, issuer
from myapp.oauth.tokens import Granted, now

# RFC 9864; its former name, EdDSA, is deprecated.
ALGORITHM = "Ed25519"
KIND = "at+jwt"
# Longer ones are not ours.
MOST_CHARACTERS = 4096
# How many tokens a process remembers to be right.
MOST_KEPT = 1024
FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
TEXTS = ("sub", "client_id", "scope", "role", "aud", "iss")


@cache
def key_of(secret: str) -> OKPKey:
    """The key that is made of a secret (RFC 5869)."""
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=b"myapp oauth signing")
    private = Ed25519PrivateKey.from_private_bytes(derived.derive(secret.encode()))
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return OKPKey.import_key(pem)


def known_secrets() -> tuple[str, ...]:
    """The secrets of which the keys are made."""
    config = current_app.config
    return (config["SECRET_KEY"], *config["SECRET_KEY_FALLBACKS"])


@cache
def keys_of(known: tuple[str, ...]) -> dict[str, OKPKey]:
    """The keys that are made of secrets, by their thumbprints (RFC 7638); the first one
    signs."""
    found = [key_of(secret) for secret in known]
    return {key.thumbprint(): key for key in found}


def keys() -> dict[str, OKPKey]:
    """The keys of this server."""
    return keys_of(known_secrets())


def key_set() -> dict[str, Any]:
    """The public parts of the keys, RFC 7517 section 5."""
    return {
        "keys": [
            {**key.as_dict(private=False), "kid": id, "use": "sig", "alg": ALGORITHM}
            for id, key in keys().items()
        ]
    }


def sign(of: Granted, role: str, lives: timedelta) -> str:
    """A signed access token.

    :param of: what it stands for.
    :param role: with which it calls until its end.
    """
    id, key = next(iter(keys().items()))
    moment = now()
    claims = {
        "iss": issuer(),
        "aud": of.resource or issuer(),
        "sub": of.user_id or of.client_id,
        "client_id": of.client_id,
        "scope": of.get_scope(),
        "role": role,
        "iat": int(moment.timestamp()),
        "exp": int((moment + lives).timestamp()),
        "jti": secrets.token_urlsafe(16),
    }
    header = {"alg": ALGORITHM, "typ": KIND, "kid": id}
    return jwt.encode(header, claims, key, algorithms=[ALGORITHM])


def read(token: str) -> dict[str, Any] | None:
    """The claims of a token that this server has signed and that is not over; ``None``
    for any other."""
    if len(token) > MOST_CHARACTERS or not FORM.fullmatch(token):
        return None
    try:
        claims = verified(token, known_secrets())
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if claims["iss"] != issuer() or not is_resource(claims["aud"]):
        return None
    return claims if claims["exp"] > time.time() else None


# An error is not kept, so that no flood of wrong tokens drives the right ones out.
@lru_cache(MOST_KEPT)
def verified(token: str, known: tuple[str, ...]) -> dict[str, Any]:
    """The claims of a token with a right signature and a right form. A process keeps
    them: to check a signature costs more than the rest of a request.

    :param known: the secrets of which the keys are made.
    :raises ValueError: for any other; or an error of joserfc.
    """

    def choose(signed: Any) -> OKPKey:
        return keys_of(known)[signed.headers()["kid"]]

    found = jwt.decode(token, choose, algorithms=[ALGORITHM])
    header, claims = found.header, found.claims
    # Nothing else is in the headers that this server writes.
    is_ours = header == {"alg": ALGORITHM, "typ": KIND, "kid": header["kid"]}
    is_whole = all(isinstance(claims.get(name), str) for name in TEXTS)
    times = [claims.get(name) for name in ("iat", "exp")]
    if not is_ours or not is_whole or not all(type(one) is int for one in times):
        raise ValueError("no token of this server")
    return claims


def signed_caller(token: str, path: str) -> Caller | None:
    """The caller of a signed token; ``None`` for a wrong one, or one for another
    resource."""
    claims = read(token)
    if claims is None:
        return None
    if not is_for(claims["aud"], path):
        return None
    scopes = frozenset(claims["scope"].split())
    return Caller(claims["sub"], roles_up_to(claims["role"]), scopes)


def granted_by_claims(text: str, claims: dict[str, Any]) -> Granted:
    """What a token with claims stands for."""
    is_own = claims["sub"] == claims["client_id"]
    zone = now().tzinfo
    return Granted(
        client_id=claims["client_id"],
        user_id=None if is_own else claims["sub"],
        consent_id=None,
        scopes=claims["scope"].split(),
        resource=claims["aud"],
        created_at=datetime.fromtimestamp(claims["iat"], zone),
        expires_at=datetime.fromtimestamp(claims["exp"], zone),
        text=text,
    )
