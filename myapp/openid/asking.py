"""How a provider is asked: in a bounded time, for answers of a bounded size, and
nowhere else than at the address that was asked."""

import time
from io import BytesIO
from typing import Any

from authlib.integrations.flask_client import FlaskOAuth2App
from authlib.integrations.requests_client import OAuth2Session
from flask import current_app, g
from requests import ConnectionError, Timeout

MOST_BYTES = 1024 * 1024


class Session(OAuth2Session):
    """A session with a provider. The setting ``OPENID_TIMEOUT`` is for all that one
    request asks of it together."""

    def request(self, method: str, url: str, **sent: Any) -> Any:
        """Ask once.

        :raises RequestException: when the answer is not there in time, or too large.
        """
        until = g.setdefault("openid_until", time.monotonic() + seconds())
        left = until - time.monotonic()
        if left <= 0:
            raise Timeout("there is no time left")
        # A redirect would send the code, or believe the answer, of another address.
        sent |= {"timeout": left, "stream": True, "allow_redirects": False}
        answer = super().request(method, url, **sent)
        answer.raw = BytesIO(read_until(answer, until))
        return answer


def seconds() -> float:
    """How long one request may wait for a provider."""
    return float(current_app.config["OPENID_TIMEOUT"])


def read_until(answer: Any, until: float) -> bytes:
    """The body of an answer, of which each part comes in time.

    :raises RequestException: when it does not, or is too large.
    """
    body = bytearray()
    try:
        while part := answer.raw.read1(MOST_BYTES, decode_content=True):
            body += part
            if len(body) > MOST_BYTES:
                raise ConnectionError("the answer is too large")
            if time.monotonic() > until:
                raise Timeout("the answer takes too long")
    finally:
        answer.close()
    return bytes(body)


class ProviderClient(FlaskOAuth2App):
    """Authlib's client, with such a session."""

    client_cls = Session
