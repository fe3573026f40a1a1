"""What a provider answers: who a user is there.

The protocol is Authlib's: discovery, PKCE, the exchange of the code, and the check of
the ID token (OpenID Connect Core 1.0 section 3.1.3.7). GitHub issues no ID token, so
its API is asked.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unicodedata import category
from urllib.parse import urlsplit

from authlib.common.errors import AuthlibBaseError
from joserfc.errors import JoseError
from requests import RequestException
from werkzeug.urls import iri_to_uri

from myapp.accounts import door
from myapp.openid.models import MOST_IN_SUBJECT
from myapp.openid.providers import Provider

log = logging.getLogger(__name__)
# Those of which the holder of the public key cannot make a signature.
ALGORITHMS = {
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
}
# The claims of an address, which have to come together.
ADDRESS = {"email", "email_verified"}
# Seconds after which an issuer is asked again for its metadata and its keys.
METADATA_KEPT = 3600
OFFERED = "id_token_signing_alg_values_supported"
# What Authlib raises for an answer that is wrong, and what an answer of another form
# causes.
WRONG = (
    *(AuthlibBaseError, JoseError, RuntimeError, ArithmeticError),
    *(AttributeError, LookupError, TypeError, ValueError),
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
        provider.forget()
        log.warning("openid: %s does not answer: %s", provider.name, error)
        told = f"{provider.title} does not answer. Try again in a minute."
        raise Refusal(told, 503) from error
    except WRONG as error:
        provider.forget()
        log.warning("openid: the answer of %s is wrong: %r", provider.name, error)
        told = f"The answer of {provider.title} could not be checked. Begin again."
        raise Refusal(told) from error


def begin_at(provider: Provider, redirect_uri: str) -> dict[str, str]:
    """Where the browser has to go, ``url``, and what the return is checked with.

    :raises Refusal: when the provider cannot be asked.
    """
    with answering(provider):
        check_issuer(provider)
        begun: dict[str, str] = provider.client.create_authorization_url(redirect_uri)
        if not is_place(begun["url"]):
            raise ValueError("its authorization endpoint is no place for a browser")
        return begun


def is_place(url: str) -> bool:
    """Whether a browser can be sent to a URL.

    :raises ValueError: when it cannot be written in ASCII.
    """
    place = urlsplit(iri_to_uri(url))
    return (
        place.scheme in ("https", "http") and place.port != 0 and bool(place.hostname)
    )


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
        if not provider.has_discovery:
            return from_github(provider, token)
        claims = provider.client.parse_id_token(token, nonce=kept["nonce"])
        if claims is None:
            raise ValueError("there is no ID token")
        told = claims
        if not claims.keys() >= ADDRESS and "userinfo_endpoint" in provider.metadata:
            told = provider.client.userinfo(token=token)
            # OpenID Connect Core section 5.3.2.
            if told["sub"] != claims["sub"]:
                raise ValueError("the claims are those of another user")
        # Some write the claim as a text.
        is_verified = told.get("email_verified") in (True, "true")
        email = told.get("email", "") if is_verified else ""
        return made(provider, claims["sub"], email, told.get("name"))


def check_issuer(provider: Provider) -> None:
    """Make sure that an issuer is who it should be (OpenID Connect Discovery 1.0
    section 4.3), and that its tokens have a signature.

    :raises ValueError: when it is another one.
    """
    if not provider.has_discovery:
        return
    if time.time() - provider.metadata.get("_loaded_at", 0) > METADATA_KEPT:
        provider.forget()
    found = provider.client.load_server_metadata()
    if found.get("issuer") != provider.issuer:
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
    own = [one for one in emails.json() if one["primary"] is True]
    email = own[0]["email"] if own and own[0]["verified"] is True else ""
    who = user.json()
    if type(who["id"]) is not int:
        raise ValueError("the id is no number")
    return made(provider, str(who["id"]), email, who.get("name"))


def made(provider: Provider, subject: Any, email: Any, name: Any) -> Identity:
    """An identity.

    :raises ValueError: when a part has another form.
    :raises Refusal: for an address to which no mail can be sent.
    """
    if not isinstance(subject, str) or not subject.isprintable():
        raise ValueError("the subject is no text")
    if not 0 < len(subject) <= MOST_IN_SUBJECT:
        raise ValueError("the subject is too long, or empty")
    if not isinstance(email, str):
        raise ValueError("the address is no text")
    known = door.address_of(email) if email else ""
    if known is None:
        raise Refusal(f"Your address at {provider.title} cannot be used here: {email}")
    # It is shown, and nothing else: what cannot be shown is left out.
    text = name if isinstance(name, str) else ""
    shown = "".join(one for one in text if category(one) not in ("Cc", "Cs", "Co"))
    return Identity(provider.name, subject, known, " ".join(shown.split())[:100])
