"""Health: whether this process answers, and which features it can serve."""

import time
from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Response, current_app

from myapp.core.access.rules import public
from myapp.core.errors.problem import Problem
from myapp.core.http.description import describe
from myapp.core.http.response import problem_response, respond
from myapp.core.jobs.health import check_jobs
from myapp.core.schema.strict_json import JSON
from myapp.core.stores.sql.store import SqlStore
from myapp.core.stores.store import Store, registered_stores

LIVE_SCHEMA: JSON = {
    "$id": "/schemas/health.live.json",
    "title": "The process answers",
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["ok"]}},
    "required": ["status"],
    "additionalProperties": False,
}
CHECKS_SCHEMA: JSON = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "properties": {
            "ok": {"type": "boolean"},
            "ms": {"type": "number", "minimum": 0},
            "warning": {"type": "string"},
        },
        "required": ["ok", "ms"],
        "additionalProperties": False,
    },
}
JOBS_SCHEMA: JSON = {
    "type": "object",
    "description": "Whether jobs are started; left out while a store is down.",
    "properties": {
        "ok": {"type": "boolean"},
        "ms": {"type": "number", "minimum": 0},
        "queue_age": {
            "type": "number",
            "minimum": 0,
            "description": "Seconds that the oldest job that is due has waited.",
        },
        "warning": {"type": "string"},
    },
    "required": ["ok", "ms"],
    "additionalProperties": False,
}
READY_SCHEMA: JSON = {
    "$id": "/schemas/health.ready.json",
    "title": "Some feature can be served",
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["ok", "degraded"]},
        "checks": CHECKS_SCHEMA,
        "features": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "jobs": JOBS_SCHEMA,
    },
    "required": ["status", "checks", "features"],
    "additionalProperties": False,
}
FEATURE_SCHEMA: JSON = {
    "$id": "/schemas/health.feature.json",
    "title": "This feature can be served",
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["ok"]},
        "checks": CHECKS_SCHEMA,
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
    """Say which stores can be reached, and which features can be served. The response
    is a 503 when no feature can be served; then this process is of no use to a load
    balancer."""
    used: dict[str, set[str]] = current_app.extensions["used_stores"]
    checks = check(set().union(*used.values()))
    features = {name: not down_of(needed, checks) for name, needed in used.items()}
    if features and not any(features.values()):
        return problem_response("unavailable", checks=checks, features=features)
    status = "ok" if all(features.values()) else "degraded"
    found = {"status": status, "checks": checks, "features": features}
    if SqlStore.component in checks and all(one["ok"] for one in checks.values()):
        # A request can be answered while jobs wait, so this changes no status.
        found["jobs"] = check_jobs()
    return respond(found)


@blueprint.get("/ready/<feature>")
@public
@describe({200: FEATURE_SCHEMA}, errors=(404,), id="health_ready_feature")
def ready_feature(feature: str) -> Response:
    """Say whether the stores of one feature can be reached; a 503 when one cannot."""
    used: dict[str, set[str]] = current_app.extensions["used_stores"]
    if feature not in used:
        raise Problem("not-found")
    checks = check(used[feature])
    if down_of(used[feature], checks):
        return problem_response("unavailable", checks=checks)
    return respond({"status": "ok", "checks": checks})


def check(names: Iterable[str]) -> dict[str, Any]:
    """Try to reach some stores.

    :returns: for each component, whether it answered, after how many milliseconds, and
        what may lose data in it.
    """
    stores = [store for store in registered_stores() if store.name in names]
    return {store.component: check_store(store) for store in stores}


def check_store(store: Store) -> dict[str, Any]:
    """Try to reach a store."""
    start = time.perf_counter()
    found: dict[str, Any] = {}
    try:
        store.ping()
        warning = store.warning()
        reached = True
        if warning is not None:
            found["warning"] = warning
    except store.errors:
        reached = False
    duration = round((time.perf_counter() - start) * 1000, 3)
    return {"ok": reached, "ms": duration, **found}


def down_of(names: set[str], checks: dict[str, Any]) -> list[str]:
    """The components that cannot be reached, of the stores with these names."""
    stores = [store for store in registered_stores() if store.name in names]
    return [one.component for one in stores if not checks[one.component]["ok"]]
