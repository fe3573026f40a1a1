"""Redirect URIs: which ones a client may have, and where its errors may go.

They are compared character by character (RFC 9700 section 2.1).
"""

import ipaddress
import re
from urllib.parse import urlsplit

# The characters of a URI, RFC 3986 section 2.
URI = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
# A host with its port: a name, or an address.
HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d+)?")
# A scheme that an application has for itself is a name of its domain, reversed (RFC
# 8252 section 7.1), so it contains a dot.
PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")


def refusal_of(uri: str) -> str:
    """Why a client may not have a redirect URI; empty when it may."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        if parts.port == 0:
            return "has no port 0"
    except ValueError:
        return "is no URI"
    if not URI.fullmatch(uri) or "#" in uri:
        return "must be a URI without a fragment"
    if "@" in parts.netloc:
        return "must not name a user"
    if parts.netloc and not HOST.fullmatch(parts.netloc):
        return "has a host that is none"
    if uri.startswith(f"{parts.scheme}:") and PRIVATE_SCHEME.fullmatch(parts.scheme):
        return ""
    if parts.scheme == "https" and host:
        return ""
    if parts.scheme == "http" and is_loopback(host):
        return ""
    return (
        "must begin with https://, with http:// and 127.0.0.1, or with com.example.app:"
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, RFC 8252 section 7.3."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin_of(uri: str) -> str:
    """The part of a redirect URI that a Content-Security-Policy names."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:"
