"""What a provider answers: who a user is there.

The protocol is Authlib's: discovery, PKCE, the exchange of the code, and the check of
the ID token (OpenID Connect Core 1.0 section 3.1.3.7). GitHub issues no ID token, so
its API is asked.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from authlib.common.errors import AuthlibBaseError
from joserfc.errors import JoseError
from requests import RequestException

from myapp.openid.models import MOST_IN_SUBJECT
from myapp.openid.providers import Provider

log = logging.getLogger(__name__)
# Those of which the holder of the public key cannot make a signature.
ALGORITHMS = {
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
}
OFFERED = "id_token_signing_alg_values_supported"
# What Authlib raises for an answer that is wrong, and what an answer of another form
# causes.
WRONG = (
    *(AuthlibBaseError, JoseError, RuntimeError),
    *(AttributeError, KeyError, TypeError, ValueError),
)


class Identity(NamedTuple):
    """A user of a provider.

    :ivar subject: its id there, which never changes.
    :ivar email: an address that the provider has verified; empty without one.
    """

    provider: str
    subject: str
    email: str
    name: str


class Refusal(Exception):
    """A sign-in that cannot go on.

    :param told: one sentence for the user.
    :param status: of the page that shows it.
    """

    def __init__(self, told: str, status: int = 400) -> None:
        super().__init__(told)
        self.told, self.status = told, status


@contextmanager
def answering(provider: Provider) -> Iterator[None]:
    """Turn what can go wrong with a provider into a refusal."""
    try:
        yield
    except RequestException as error:
        log.warning("openid: %s does not answer: %s", provider.name, error)
        told = f"{provider.title} does not answer. Try again in a minute."
        raise Refusal(told, 503) from error
    except WRONG as error:
        log.warning("openid: the answer of %s is wrong: %r", provider.name, error)
        told = f"The answer of {provider.title} could not be checked. Begin again."
        raise Refusal(told) from error


def begin_at(provider: Provider, redirect_uri: str) -> dict[str, str]:
    """Where the browser has to go, ``url``, and what the return is checked with.

    :raises Refusal: when the provider cannot be asked.
    """
    with answering(provider):
        check_issuer(provider)
        made: dict[str, str] = provider.client.create_authorization_url(redirect_uri)
        return made


def identity_of(
    provider: Provider, code: str, kept: dict[str, str], redirect_uri: str
) -> Identity:
    """Who has signed in.

    :param kept: what :func:`begin_at` has returned.
    :raises Refusal: when the provider cannot be asked, or its answer cannot be checked.
    """
    with answering(provider):
        check_issuer(provider)
        token = provider.client.fetch_access_token(
            redirect_uri, code=code, code_verifier=kept["code_verifier"]
        )
        if not provider.issuer:
            return from_github(provider, token)
        claims = provider.client.parse_id_token(token, nonce=kept["nonce"])
        if claims is None:
            raise ValueError("there is no ID token")
        if "email" not in claims:
            more = provider.client.userinfo(token=token)
            # OpenID Connect Core section 5.3.2.
            if more["sub"] != claims["sub"]:
                raise ValueError("the claims are those of another user")
            claims = {**more, **claims}
        # Some write the claim as a text.
        is_verified = claims.get("email_verified") in (True, "true")
        email = claims.get("email", "") if is_verified else ""
        return made(provider, claims["sub"], email, claims.get("name"))


def check_issuer(provider: Provider) -> None:
    """Make sure that an issuer is who it should be (OpenID Connect Discovery 1.0
    section 4.3), and that its tokens have a signature.

    :raises ValueError: when it is another one.
    """
    if provider.issuer:
        found = provider.client.load_server_metadata()
        if found.get("issuer") != provider.issuer:
            # It is asked again the next time.
            found.pop("_loaded_at")
            raise ValueError(f"it calls itself {found.get('issuer')}")
        offered = found.get(OFFERED, ["RS256"])
        found[OFFERED] = [one for one in offered if one in ALGORITHMS]


def from_github(provider: Provider, token: Any) -> Identity:
    """Who has signed in at GitHub."""
    user, emails = (
        provider.client.get(path, token=token) for path in ("user", "user/emails")
    )
    user.raise_for_status()
    emails.raise_for_status()
    verified = [one for one in emails.json() if one["primary"] and one["verified"]]
    email = verified[0]["email"] if verified else ""
    who = user.json()
    return made(provider, str(who["id"]), email, who.get("name"))


def made(provider: Provider, subject: Any, email: Any, name: Any) -> Identity:
    """An identity.

    :raises ValueError: when a part has another form.
    """
    texts = (subject, email, name or "")
    if not all(isinstance(one, str) and one.isprintable() for one in texts):
        raise ValueError("a claim is no text")
    if not 0 < len(subject) <= MOST_IN_SUBJECT:
        raise ValueError("the subject is too long, or empty")
    return Identity(provider.name, subject, email, (name or "")[:100])
