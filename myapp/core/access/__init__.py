"""Who calls, and what they may do. This room imports no other."""

from myapp.core.access.caller import caller
from myapp.core.access.rules import ACCESS, public

__all__ = ["ACCESS", "caller", "public"]
