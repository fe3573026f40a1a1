"""Encrypted access tokens that are bound to a session: JWE (RFC 7516), a shared key.

Nobody but this server reads them. They are of use as long as the session in which the
user has allowed the client, the client, and the consent; the role is that of the
session.
"""

import json
import re
import secrets
import time
from base64 import urlsafe_b64decode
from datetime import timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from myapp.accounts import door
from myapp.core.access import Caller, roles_up_to
from myapp.oauth.ended import is_ended
from myapp.oauth.resources import is_for, is_resource, issuer
from myapp.oauth.signed import MOST_CHARACTERS, known_secrets
from myapp.oauth.tokens import Granted, now

ALGORITHMS = ("dir", "A256GCM")
# A direct key has no part of its own in a token, RFC 7518 section 4.5.
FORM = re.compile(r"[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


@cache
def key_of(secret: str) -> OctKey:
    """The key that is made of a secret (RFC 5869)."""
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=b"myapp oauth encryption")
    return OctKey.import_key(derived.derive(secret.encode()))


@cache
def keys_of(known: tuple[str, ...]) -> dict[str, OctKey]:
    """The keys that are made of secrets, by their thumbprints (RFC 7638); the first one
    encrypts."""
    found = [key_of(secret) for secret in known]
    return {key.thumbprint(): key for key in found}


def header_with(id: str) -> dict[str, str]:
    """The header of a token; no other is taken, so nothing is decompressed, and no key
    is derived, because a token wants it."""
    return {"alg": ALGORITHMS[0], "enc": ALGORITHMS[1], "typ": "at+jwt", "kid": id}


def encrypt(of: Granted, session: str, lives: timedelta) -> str:
    """An encrypted access token.

    :param of: what it stands for.
    :param session: the digest of the session that it is bound to.
    """
    id, key = next(iter(keys_of(known_secrets()).items()))
    moment = now()
    claims = {
        "iss": issuer(),
        "aud": of.resource or issuer(),
        "sub": of.user_id,
        "client_id": of.client_id,
        "consent": of.consent_id,
        "scope": of.get_scope(),
        "sid": session,
        "iat": int(moment.timestamp()),
        "exp": int((moment + lives).timestamp()),
        "jti": secrets.token_urlsafe(16),
    }
    text = json.dumps(claims).encode()
    return jwe.encrypt_compact(header_with(id), text, key, algorithms=[*ALGORITHMS])


def read(token: str) -> dict[str, Any] | None:
    """The claims of a token that this server has encrypted and that is not over;
    ``None`` for any other."""
    if len(token) > MOST_CHARACTERS or not FORM.fullmatch(token):
        return None
    try:
        part = token.partition(".")[0]
        header = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        key = keys_of(known_secrets())[header["kid"]]
        if header != header_with(header["kid"]):
            return None
        found = jwe.decrypt_compact(token, key, algorithms=[*ALGORITHMS])
        claims: dict[str, Any] = json.loads(found.plaintext or b"")
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    is_ours = claims["iss"] == issuer() and is_resource(claims["aud"])
    return claims if is_ours and claims["exp"] > time.time() else None


def read_alive(token: str) -> tuple[dict[str, Any], str] | None:
    """The claims of a token, and the role of its session; ``None`` when it is over."""
    claims = read(token)
    if claims is None or is_ended(claims["client_id"], claims["consent"]):
        return None
    role = door.role_of_session(claims["sub"], claims["sid"])
    return (claims, role) if role is not None else None


def encrypted_caller(token: str, path: str) -> Caller | None:
    """The caller of an encrypted token, while its session goes on; ``None`` for a wrong
    one, or one for another resource."""
    found = read_alive(token)
    if found is None or not is_for(found[0]["aud"], path):
        return None
    claims, role = found
    return Caller(claims["sub"], roles_up_to(role), frozenset(claims["scope"].split()))
