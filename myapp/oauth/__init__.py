"""OAuth 2.0: programs of others call for a user, within scopes that the user allows."""

# They add its commands, its jobs and more routes.
from myapp.oauth import cli, endpoints_protocol, jobs, pages  # noqa: F401
from myapp.oauth.endpoints import blueprint

__all__ = ["blueprint"]
