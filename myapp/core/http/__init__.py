"""The HTTP layer: input checks, access, headers, the log line, errors and health."""

from myapp.core.http.access import invalid_token, known_scopes, sent_token
from myapp.core.http.app import App
from myapp.core.http.description import describe
from myapp.core.http.limits import client_network, too_many
from myapp.core.http.request import read_json
from myapp.core.http.response import respond

__all__ = [
    "App",
    "client_network",
    "describe",
    "invalid_token",
    "known_scopes",
    "read_json",
    "respond",
    "sent_token",
    "too_many",
]
