"""The audit: who has written which record, when, from where, and what it changed.

A model that says ``audited = True`` gets a line for each of its writes, in the same
transaction. ``history_routes`` gives it the routes of its history.
"""

from myapp.core.audit.history import history_routes
from myapp.core.audit.line import AuditLine

__all__ = ["AuditLine", "history_routes"]
