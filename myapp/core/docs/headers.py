"""The headers of requests and responses, as OpenAPI describes them."""

from myapp.core.http.description import Description
from myapp.core.rest.etags import TAGS_PATTERN
from myapp.core.rest.idempotency import KEY_PATTERN
from myapp.core.rest.resource import Resource
from myapp.core.schema.strict_json import JSON

TEXT = {"type": "string"}
HEADERS: JSON = {
    "Accept-Patch": {"description": "The media types that it takes.", "schema": TEXT},
    "Accept-Post": {"description": "The media types that it takes.", "schema": TEXT},
    "ETag": {
        "description": "The version of the record and the shape in which it is shown, "
        "for If-Match and If-None-Match.",
        "required": True,
        "schema": {
            "type": "string",
            "pattern": '^"[0-9.]+-[0-9a-f]{8}"$',
            "examples": ['"1-325fd297"'],
        },
    },
    "Idempotent-Replayed": {
        "description": "Set when this is the kept response of the Idempotency-Key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Link": {
        "description": "The next page, RFC 8288.",
        "schema": TEXT,
    },
    "Location": {
        "description": "Where the record is.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {
        "description": "Seconds to wait before another try.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate, RFC 9110 section 11.6.1.",
        "schema": TEXT,
    },
    "X-Request-ID": {
        "description": "The id of this request, as in the logs.",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
    "X-Total-Count": {
        "description": "How many records match, when count=exact asks for it.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
TAGS = {
    "type": "string",
    "format": "entity-tags",
    "pattern": TAGS_PATTERN,
    "examples": ['"1"', "*"],
}
REQUEST_HEADERS: JSON = {
    "If-Match": {
        "description": "Do it only if the record has one of these ETags.",
        "schema": TAGS,
    },
    "If-None-Match": {
        "description": "Do it only if the record has none of these ETags.",
        "schema": TAGS,
    },
    "Idempotency-Key": {
        "description": "A retry with the same key gets the same response.",
        "schema": {
            "type": "string",
            "pattern": KEY_PATTERN,
            "examples": ["order-4711"],
        },
    },
}


def request_headers(
    method: str, description: Description, resource: type[Resource] | None
) -> list[JSON]:
    """The headers that a request may carry."""
    names = []
    if method in ("put", "patch", "delete") and 412 in description.errors:
        names.append("If-Match")
    if 304 in description.responses:
        names.append("If-None-Match")
    if method in ("post", "patch") and resource is not None and resource.kept_responses:
        names.append("Idempotency-Key")
    headers: list[JSON] = [
        {"name": name, "in": "header", **REQUEST_HEADERS[name]} for name in names
    ]
    for header in headers:
        if header["name"] == "If-Match" and resource and resource.requires_if_match:
            header["required"] = True
    return headers


def response_headers(
    method: str, status: int, schema: JSON | None, keeps_responses: bool
) -> JSON:
    """The headers of a response that is not a problem."""
    names = ["X-Request-ID"]
    properties = (schema or {}).get("properties", {})
    if status == 304 or "version" in properties:
        names.append("ETag")
    if status == 201:
        names.append("Location")
    if method == "get" and "next" in properties:
        names += ["Link", "X-Total-Count"]
    if method in ("post", "patch") and keeps_responses:
        names.append("Idempotent-Replayed")
    return header_references(names)


def problem_headers(method: str, status: int) -> JSON:
    """The headers of a problem."""
    names = ["X-Request-ID"]
    if status in (409, 429, 503):
        names.append("Retry-After")
    if status == 401:
        names.append("WWW-Authenticate")
    if status == 415:
        names.append("Accept-Patch" if method == "patch" else "Accept-Post")
    return header_references(names)


def header_references(names: list[str]) -> JSON:
    """The headers by reference to their components."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
