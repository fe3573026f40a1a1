"""The routes of the catalog."""

from typing import Any

from flask import Response, request

from myapp.catalog import jobs
from myapp.catalog.models import Director, Movie
from myapp.catalog.service import movie_stats
from myapp.core.audit import history_routes
from myapp.core.http import read_json
from myapp.core.mail import check_address
from myapp.core.rest import (
    JOB_SCHEMA,
    ModelResource,
    Resource,
    accepted,
    describe,
    feature_blueprint,
    routes_from_model,
)
from myapp.core.schema import Validator

DIGEST_TO: list[str] = []
SETTINGS: dict[str, Any] = {
    # Addresses that get a mail each night about the films that were added or changed.
    "CATALOG_DIGEST_TO": DIGEST_TO,
}

blueprint, api = feature_blueprint("catalog", __name__, SETTINGS)
movies = api.namespace("movies", description="Films.")
directors = api.namespace("directors", description="People who direct films.")

routes_from_model(movies, Movie)
routes_from_model(directors, Director)
history_routes(movies, Movie, access='role("editor")')

STATS_SCHEMA = {
    "$id": "/schemas/movie.stats.json",
    "title": "What the catalog holds",
    "type": "object",
    "properties": {
        "films": {"type": "integer"},
        "first_year": {"type": ["integer", "null"]},
        "last_year": {"type": ["integer", "null"]},
        "by_decade": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
    "required": ["films", "first_year", "last_year", "by_decade"],
    "additionalProperties": False,
}


@movies.route("/stats")
class MovieStats(Resource):
    """Figures on all films."""

    @describe({200: STATS_SCHEMA})
    def get(self) -> dict[str, Any]:
        """Count films, in all and by decade."""
        return movie_stats()


REPORT_BODY = {
    "$id": "/schemas/movie.report.write.json",
    "title": "Who gets the report",
    "type": "object",
    "properties": {
        "mail_to": {
            "type": "string",
            "format": "email",
            "maxLength": 254,
            "description": "An address that gets the report by mail, too.",
        },
    },
    "additionalProperties": False,
    "examples": [{}, {"mail_to": "ada@mail.example"}],
}
report_validator = Validator(REPORT_BODY)


@movies.route("/report")
class MovieReport(ModelResource):
    """A report on all films."""

    model = Movie

    @describe({202: JOB_SCHEMA}, body=REPORT_BODY, errors=(400, 409, 413, 415, 422))
    def post(self) -> Response:
        """Start a report: the job that is shown at Location has it as its result."""
        # A request without a body is that of a report without a mail.
        body = read_json() if request.get_data() else {}
        report_validator.check(body)
        mail_to = body.get("mail_to")
        if mail_to is not None:
            check_address(mail_to)
        return accepted(jobs.report.later(mail_to))
