"""Jobs over HTTP: the response of a view function that has started one, and how those
who have started it see what becomes of it."""

from typing import Any

from flask import Blueprint, Response, current_app, url_for

from myapp.core.access.caller import caller_id
from myapp.core.access.rules import public
from myapp.core.errors.problem import PROBLEM_SCHEMA, Problem
from myapp.core.http.description import describe
from myapp.core.http.request import check_id
from myapp.core.http.response import respond
from myapp.core.jobs import queue
from myapp.core.jobs.job import QueuedJob
from myapp.core.jobs.queue import JobRow
from myapp.core.jobs.run import progress_of
from myapp.core.jobs.table import ENDED, JOB_STATES
from myapp.core.schema.strict_json import JSON
from myapp.core.stores.state import request_state

MOMENT: JSON = {"type": "string", "format": "date-time"}
JOB_SCHEMA: JSON = {
    "$id": "/schemas/job.json",
    "title": "A job",
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "name": {"type": "string"},
        "state": {"type": "string", "enum": list(JOB_STATES)},
        "progress": {
            "type": ["object", "null"],
            "description": "How far it is, where it tells it.",
            "properties": {
                "share": {"type": "number", "minimum": 0, "maximum": 1},
                "message": {"type": "string"},
            },
            "required": ["share", "message"],
            "additionalProperties": False,
        },
        "result": {"description": "What it has returned, after its success."},
        "problem": {
            "description": "Why its last attempt has failed, if it has.",
            "anyOf": [{"$ref": PROBLEM_SCHEMA["$id"]}, {"type": "null"}],
        },
        "created_at": MOMENT,
        "started_at": {"anyOf": [MOMENT, {"type": "null"}]},
        "ended_at": {"anyOf": [MOMENT, {"type": "null"}]},
    },
    "required": [
        *("id", "name", "state", "progress", "result", "problem"),
        *("created_at", "started_at", "ended_at"),
    ],
    "additionalProperties": False,
}

# The blueprint of a feature may be called jobs.
blueprint = Blueprint("core_jobs", __name__)


@blueprint.get("/jobs/<id>")
@public
@describe({200: JOB_SCHEMA}, errors=(400, 401, 404), id="get_job")
def get_job(id: str) -> Response:
    """Show a job to the caller that has started it. A job that a caller without
    credentials has started is shown to anybody who has its id."""
    # A replica may not have a job that was started just now.
    request_state().is_fresh = True
    row = queue.find(check_id(id))
    # A job that no request has started has no owner.
    if row is None or row.owner != caller_id():
        raise Problem("not-found")
    return respond(document_of(row), headers=wait_of(row))


def accepted(job: QueuedJob) -> Response:
    """The response of a view function that has started a job: 202, RFC 9110 section
    15.3.3, with the job and its URL."""
    row = queue.find(job.id)
    if row is None:
        raise LookupError(f"the job {job.id} is not in the queue")
    place = url_for("core_jobs.get_job", id=job.id)
    return respond(document_of(row), 202, [("Location", place), *wait_of(row)])


def document_of(row: JobRow) -> dict[str, Any]:
    """A job as clients see it."""
    return {
        "id": row.id,
        "name": row.name,
        "state": row.state,
        "progress": progress_of(row.id),
        "result": row.result,
        "problem": row.problem,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
    }


def wait_of(row: JobRow) -> list[tuple[str, str]]:
    """When to ask again, while a job is not over."""
    if row.state in ENDED:
        return []
    return [("Retry-After", str(current_app.config["RETRY_AFTER"]))]
