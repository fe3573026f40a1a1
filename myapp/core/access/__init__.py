"""Who calls, and what they may do. This room imports no other."""

from myapp.core.access.caller import (
    Authenticator,
    Caller,
    add_authenticator,
    caller_id,
    current_caller,
)
from myapp.core.access.rules import ACCESS, Rule, access, granted, public

__all__ = [
    "ACCESS",
    "Authenticator",
    "Caller",
    "Rule",
    "access",
    "add_authenticator",
    "caller_id",
    "current_caller",
    "granted",
    "public",
]
