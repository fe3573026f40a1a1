"""Who calls, and what they may do. This room imports no other."""

from myapp.core.access.caller import (
    Authenticator,
    Caller,
    add_authenticator,
    caller_id,
    current_caller,
    roles_up_to,
)
from myapp.core.access.rules import (
    ACCESS,
    SAFE_METHODS,
    Rule,
    Word,
    access,
    public,
    relation,
)

__all__ = [
    "ACCESS",
    "SAFE_METHODS",
    "Authenticator",
    "Caller",
    "Rule",
    "Word",
    "access",
    "add_authenticator",
    "caller_id",
    "current_caller",
    "public",
    "relation",
    "roles_up_to",
]
