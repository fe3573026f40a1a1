"""Health: whether this process answers, and whether its stores answer."""

import time
from typing import Any

from flask import Blueprint, Response

from myapp.core.access.rules import public
from myapp.core.http.description import describe
from myapp.core.http.response import problem_response, respond
from myapp.core.schema.strict_json import JSON
from myapp.core.stores.store import Store, registered_stores

LIVE_SCHEMA: JSON = {
    "$id": "/schemas/health.live.json",
    "title": "The process answers",
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["ok"]}},
    "required": ["status"],
    "additionalProperties": False,
}
READY_SCHEMA: JSON = {
    "$id": "/schemas/health.ready.json",
    "title": "Each store can be reached",
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["ok"]},
        "checks": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "ok": {"type": "boolean"},
                    "ms": {"type": "number", "minimum": 0},
                },
                "required": ["ok", "ms"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["status", "checks"],
    "additionalProperties": False,
}

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
@public
@describe({200: LIVE_SCHEMA}, id="health_live")
def live() -> Response:
    """Say that this process answers."""
    return respond({"status": "ok"})


@blueprint.get("/ready")
@public
@describe({200: READY_SCHEMA}, id="health_ready")
def ready() -> Response:
    """Say whether each store can be reached, and how long that took."""
    checks = {store.component: check(store) for store in registered_stores()}
    if all(found["ok"] for found in checks.values()):
        return respond({"status": "ok", "checks": checks})
    return problem_response("unavailable", checks=checks)


def check(store: Store) -> dict[str, Any]:
    """Try to reach a store; returns whether it answered, and after how many
    milliseconds."""
    start = time.perf_counter()
    try:
        store.ping()
        reached = True
    except store.errors:
        reached = False
    return {"ok": reached, "ms": round((time.perf_counter() - start) * 1000, 3)}
