"""Bugs for Sentry: each 500, with its trace and without what clients have sent.

This module is loaded only when SENTRY_DSN is set; requirements-extras.txt has its
package.
"""

from typing import Any

import sentry_sdk
from flask import Flask
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.utils import BadDsn

from myapp.core.errors.startup import ConfigError
from myapp.core.http.logs import current_request_id, mask

#: Parts of an event that hold what a client has sent.
SENT = ("cookies", "data", "env", "headers", "query_string")


def masked(value: Any) -> Any:
    """A value without passwords, tokens and credentials in its texts."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: masked(one) for key, one in value.items()}
    return [masked(one) for one in value] if isinstance(value, list) else value


def before_send(event: Any, _hint: Any) -> Any:
    """An event without what clients have sent, and with the id of its request."""
    for name in SENT:
        event.get("request", {}).pop(name, None)
    event.setdefault("tags", {})["request_id"] = current_request_id()
    return masked(event)


def init_app(app: Flask) -> None:
    """Send the bugs of this process.

    :raises ConfigError: when SENTRY_DSN is no DSN.
    """
    try:
        sentry_sdk.init(
            app.config["SENTRY_DSN"],
            release=app.config["RELEASE"] or None,
            environment=app.config["ENV"],
            integrations=[FlaskIntegration()],
            auto_enabling_integrations=False,
            before_send=before_send,
            # Values of variables may be secrets, or what a client has sent.
            include_local_variables=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
        )
    except BadDsn as error:
        raise ConfigError(f"SENTRY_DSN is not a DSN: {error}") from error
