"""Accounts: who the users are, how they sign in, and what their role lets them do."""

# They add its commands, its jobs and more routes.
from myapp.accounts import (  # noqa: F401
    cli,
    endpoints_me,
    endpoints_tokens,
    endpoints_users,
    jobs,
    pages,
)
from myapp.accounts.endpoints import blueprint

__all__ = ["blueprint"]
