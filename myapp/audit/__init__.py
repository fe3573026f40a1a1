"""What the audit has seen, for admins."""

from myapp.audit.endpoints import blueprint

__all__ = ["blueprint"]
