"""Resource indicators, RFC 8707: a token for one part of this server."""

from urllib.parse import urlsplit

from flask import current_app

from myapp.core.http import public_url


def issuer() -> str:
    """The name of this server (RFC 8414 section 2)."""
    return public_url()


def is_resource(uri: str) -> bool:
    """Whether a token may be for a resource: this server, or a feature of it."""
    prefixes = [one.url_prefix for one in current_app.extensions["features"].values()]
    places = [f"{issuer()}{prefix}" for prefix in ("", *prefixes)]
    return uri in places or uri in [f"{place}/" for place in places]


def is_for(resource: str | None, path: str) -> bool:
    """Whether a token with a resource is for a path."""
    if resource is None:
        return True
    base = urlsplit(issuer()).path
    place = urlsplit(resource).path.removeprefix(base).rstrip("/")
    return path == place or path.startswith(f"{place}/")
