"""Lines of the audit for tests."""

from myapp.core.audit import AuditLine
from myapp.core.model import Record


def create_audit_line(record_id: str = "7", request_id: str = "r7") -> Record:
    """A stored line."""
    return AuditLine.create(
        {
            "model": "film",
            "record_id": record_id,
            "record_version": 1,
            "action": "create",
            "request_id": request_id,
            "changes": [],
            "record": {"title": "Seven"},
        }
    )
