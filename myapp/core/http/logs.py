"""Logs: one line for each request, JSON for machines or text for people.

Secrets are masked, and control characters are escaped.
"""

import logging
import re
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from flask import (
    Flask,
    Response,
    current_app,
    has_app_context,
    has_request_context,
    request,
)
from flask.logging import default_handler

from myapp.core.access.caller import Caller
from myapp.core.http.headers import REQUEST_ID
from myapp.core.stores.state import request_state

log = logging.getLogger("myapp.request")

MASK = "***"
# The value after a secret's name: the rest of a header, a quoted value, or one word.
SECRET_HEADERS = re.compile(
    r"(?i)((?:authorization|cookie)[\"']?\s*[=:]\s*[\"']?)[^\"'\r\n]+"
)
SECRETS = re.compile(
    r"(?i)((?:password|passwd|secret|token|api_?key)[\"']?\s*[=:]\s*)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s\"',;&}]+)"
)
# A text without any of these contains no secret that the patterns above find.
SUSPECT = re.compile(r"(?i)passw|secret|token|key|authorization|cookie|://")
CREDENTIALS = re.compile(r"(://[^\s:/@]*:)[^\s@/]+@")
# W3C Trace Context, section 3.2.2: version, trace id, parent id, flags; a version after
# 00 may have more.
TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}"
)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def mask(text: str) -> str:
    """A text without passwords, tokens, cookies and credentials in URLs."""
    if not SUSPECT.search(text):
        return text
    text = SECRET_HEADERS.sub(rf"\1{MASK}", text)
    return CREDENTIALS.sub(rf"\1{MASK}@", SECRETS.sub(rf"\1{MASK}", text))


def escape(text: str) -> str:
    """A text without control characters, line feeds included."""
    return CONTROL.sub(lambda found: repr(found.group())[1:-1], text)


class JSONFormatter(logging.Formatter):
    """One JSON object for each line."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as JSON, with the fields of its request."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": mask(record.getMessage()),
            "request_id": current_request_id(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = mask(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z).decode()


class TextFormatter(logging.Formatter):
    """One readable line; only an exception has more lines."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as text, its control characters escaped."""
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        fields = getattr(record, "fields", None)
        message = record.getMessage()
        if fields and record.name == log.name:
            message = line_of(fields)
        elif fields:
            message += f"  {fields['duration_ms']:.1f} ms, {fields['sql']} SQL"
        line = f"{clock} {record.levelname:<7} {escape(mask(message))}"
        if record.exc_info:
            trace = mask(self.formatException(record.exc_info)).splitlines()
            line = "\n".join((line, *map(escape, trace)))
        return line


def line_of(fields: Mapping[str, Any]) -> str:
    """What a person wants to know of a request that has just been answered: also its
    query, who sent it, and whether the response is a kept one."""
    query = request.query_string.decode(errors="replace")
    asked = f"{fields['path']}?{query}" if query else fields["path"]
    caller = request_state().caller
    parts = [
        f"{fields['method']} {asked} {fields['status']}",
        f"{fields['duration_ms']:.1f} ms, {fields['sql']} SQL",
        f"from {request.remote_addr}",
        f"by {caller.id}" if isinstance(caller, Caller) else "",
        "replayed" if "is_replayed" in fields else "",
    ]
    return "  ".join(filter(None, parts))


def current_request_id() -> str | None:
    """The id of the request that is being answered, or that has caused this job."""
    if has_request_context():
        return request.environ.get(REQUEST_ID)
    return request_state().cause if has_app_context() else None


def trace_of(environ: Mapping[str, Any]) -> dict[str, str]:
    """The ids in the traceparent of a request; nothing when it has none, or a wrong
    one."""
    sent = environ.get("HTTP_TRACEPARENT", "")
    found = TRACEPARENT.match(sent)
    if found is None:
        return {}
    more = sent[found.end() :]
    if more and (sent.startswith("00") or more[0] != "-"):
        return {}
    return {"trace_id": found[1], "parent_id": found[2]}


def log_request(response: Response) -> Response:
    """Write the log line of this request; a slow request is a warning."""
    state = request_state()
    duration = time.perf_counter() - state.started
    slow = duration > current_app.config["SLOW_REQUEST_SECONDS"]
    level = logging.WARNING if slow else logging.INFO
    if log.isEnabledFor(level):
        sent = request._get_current_object()  # type: ignore[attr-defined]
        method, path, rule = sent.method, mask(sent.path), sent.url_rule
        status = response.status_code
        # The record is made directly: log.log() would look for the calling line of
        # code, which costs time.
        message = f"{method} {path} {status}"
        record = logging.LogRecord(log.name, level, "", 0, message, None, None)
        record.fields = {
            "method": method,
            "route": rule and rule.rule,
            "path": path,
            "status": status,
            "duration_ms": round(duration * 1000, 3),
            "sql": state.statements,
            **(
                {"is_replayed": True}
                if "Idempotent-Replayed" in response.headers
                else {}
            ),
            **trace_of(sent.environ),
        }
        log.handle(record)
    return response


def init_app(app: Flask) -> None:
    """Send every log of the process to standard error in the configured format."""
    app.after_request(log_request)
    app.extensions["current_request_id"] = current_request_id
    app.logger.removeHandler(default_handler)
    logging.getLogger("myapp").setLevel(app.config["LOG_LEVEL"])
    if not app.testing:
        as_json = app.config["LOG_FORMAT"] == "json"
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JSONFormatter() if as_json else TextFormatter())
        logging.basicConfig(handlers=[handler], force=True)
