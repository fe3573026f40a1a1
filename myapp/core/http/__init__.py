"""The HTTP layer: input checks, access, headers, the log line, errors and health."""

from myapp.core.http.access import invalid_token, known_scopes, sent_token
from myapp.core.http.address import public_url
from myapp.core.http.app import App
from myapp.core.http.cookies import full_name, sent_value, write_cookie
from myapp.core.http.description import describe
from myapp.core.http.limits import client_network, too_many
from myapp.core.http.request import read_json
from myapp.core.http.response import redirect_to, respond

__all__ = [
    "App",
    "client_network",
    "describe",
    "full_name",
    "invalid_token",
    "known_scopes",
    "public_url",
    "read_json",
    "redirect_to",
    "respond",
    "sent_token",
    "sent_value",
    "too_many",
    "write_cookie",
]
