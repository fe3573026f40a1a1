"""The servers with which users may sign in: the setting ``OPENID_PROVIDERS``."""

import re
from ipaddress import ip_address
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from authlib.integrations.flask_client import OAuth
from flask import current_app

from myapp.core.errors import ConfigError, Problem
from myapp.openid.asking import ProviderClient
from myapp.openid.models import MOST_IN_ISSUER

NAME = re.compile(r"[a-z][a-z0-9-]{0,29}", re.ASCII)
# The fields of a provider. Two are for a server of GitHub Enterprise: where its pages
# and where its API are.
URLS = ("issuer", "site", "api")
# What a URL of the setting has not: a user, a query, a fragment, a blank.
WITHOUT = re.compile(r"[@?#\s]")
FIELDS = ("client_id", "client_secret", "title", *URLS)
KNOWN: dict[str, dict[str, str]] = {
    "google": {"title": "Google", "issuer": "https://accounts.google.com"},
    "github": {
        "title": "GitHub",
        "site": "https://github.com",
        "api": "https://api.github.com",
    },
}


class Provider(NamedTuple):
    """A server with which users may sign in.

    :ivar title: what users call it.
    :ivar issuer: its issuer identifier; that of GitHub, which has none, is its site.
    :ivar has_discovery: whether it is one of OpenID Connect, and not GitHub.
    :ivar client: of Authlib.
    """

    name: str
    title: str
    issuer: str
    has_discovery: bool
    client: Any

    @property
    def metadata(self) -> dict[str, Any]:
        """What it has said of itself; empty before it was asked."""
        return cast(dict[str, Any], self.client.server_metadata)

    def forget(self) -> None:
        """Let it be asked for its metadata and its keys again."""
        for name in ("_loaded_at", "jwks"):
            self.metadata.pop(name, None)


def provider_of(name: str) -> Provider:
    """The provider with a name.

    :raises Problem: 404.
    """
    found = providers().get(name)
    if found is None:
        raise Problem("not-found")
    return found


def providers() -> dict[str, Provider]:
    """The providers of this application, by their names."""
    return cast(dict[str, Provider], current_app.extensions["openid"])


def add_providers(app: Any) -> None:
    """Read the setting.

    :raises ConfigError: for a provider that cannot be used.
    """
    if app.config["OPENID_TIMEOUT"] <= 0:
        raise ConfigError("OPENID_TIMEOUT has to be above 0")
    clients = OAuth(app)
    app.extensions["openid"] = {
        name: make_provider(clients, name, fields)
        for name, fields in app.config["OPENID_PROVIDERS"].items()
    }


def make_provider(clients: OAuth, name: str, fields: Any) -> Provider:
    """A provider of the setting.

    :raises ConfigError: for one that cannot be used.
    """
    told = refusal_of(name, fields)
    if told:
        raise ConfigError(f"OPENID_PROVIDERS: {name}: {told}")
    fields = {"title": name.capitalize()} | KNOWN.get(name, {}) | fields
    # A token is used at once, however short its life is.
    kept = {"code_challenge_method": "S256", "leeway": 0}
    if not fields.get("client_secret"):
        kept["token_endpoint_auth_method"] = "none"
    places: dict[str, Any]
    if "issuer" in fields:
        found = f"{fields['issuer'].rstrip('/')}/.well-known/openid-configuration"
        places, kept["scope"] = {"server_metadata_url": found}, "openid email profile"
    else:
        site = f"{fields['site'].rstrip('/')}/login/oauth"
        places = {"authorize_url": f"{site}/authorize"}
        places |= {"access_token_url": f"{site}/access_token"}
        places |= {"api_base_url": f"{fields['api'].rstrip('/')}/"}
        kept["scope"] = "read:user user:email"
    id, secret = fields["client_id"], fields.get("client_secret")
    clients.oauth2_client_cls = ProviderClient
    client = clients.register(
        name, client_id=id, client_secret=secret, client_kwargs=kept, **places
    )
    issuer = fields.get("issuer") or fields["site"]
    return Provider(name, fields["title"], issuer, "issuer" in fields, client)


def refusal_of(name: str, fields: Any) -> str:
    """Why a provider cannot be used; empty when it can."""
    if not NAME.fullmatch(name):
        return "the name has to be of a to z, 0 to 9 and -"
    if not isinstance(fields, dict):
        return "has to be a table of fields"
    for field, value in fields.items():
        if field not in FIELDS or not isinstance(value, str) or not value.isprintable():
            return f"{field}: the fields are {', '.join(FIELDS)}, each a text"
        if field in URLS and not is_safe(value):
            return f"{field}: has to be an https URL, or on this machine"
    if not fields.get("client_id"):
        return "needs a client_id"
    if "issuer" not in fields | KNOWN.get(name, {}) and name != "github":
        return "needs an issuer"
    return ""


def is_safe(url: str) -> bool:
    """Whether nobody can change what a URL answers: by TLS, or on this machine."""
    if len(url) > MOST_IN_ISSUER or WITHOUT.search(url):
        return False
    try:
        place = urlsplit(url)
        host, _ = place.hostname or "", place.port
    except ValueError:
        return False
    try:
        is_here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_here = False
    is_open = place.scheme == "http" and is_here
    return bool(host) and (place.scheme == "https" or is_open)
