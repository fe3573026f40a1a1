"""The routes of the audit."""

from flask import Response

from myapp.core.audit import AuditLine
from myapp.core.rest import (
    ModelResource,
    check_id,
    describe,
    describe_list,
    feature_blueprint,
    respond_list,
    respond_record,
)

blueprint, api = feature_blueprint("audit", __name__)
lines = api.namespace("lines", path="/", description="Who has written what.")


@lines.route("/")
class Lines(ModelResource):
    """All lines of the audit."""

    model = AuditLine

    @describe_list(AuditLine)
    def get(self) -> Response:
        """List what was written, newest first."""
        return respond_list(AuditLine)


@lines.route("/<id>")
class Line(ModelResource):
    """One line of the audit."""

    model = AuditLine

    @describe({200: AuditLine.read_schema}, errors=(400, 404))
    def get(self, id: str) -> Response:
        """Read a line."""
        return respond_record(AuditLine.get_or_404(check_id(id)))
