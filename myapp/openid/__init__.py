"""Sign in with others: Google, GitHub, or any issuer of OpenID Connect."""

# They add its jobs and more routes.
from myapp.openid import jobs, pages  # noqa: F401
from myapp.openid.endpoints import blueprint

__all__ = ["blueprint"]
