"""Where this server is, as its clients know it."""

from flask import current_app, request


def public_url() -> str:
    """The setting ``PUBLIC_URL``, or the address of this request, without a slash at
    the end."""
    return str(current_app.config["PUBLIC_URL"] or request.url_root).rstrip("/")
