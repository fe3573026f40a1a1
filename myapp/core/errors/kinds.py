"""The kinds of errors: what ``/problems/<slug>`` shows about each.

``Problem(slug, ...)`` takes status and title from here. The slug is the last part of
``type``, a URI that can be opened (RFC 9457 section 3.1.1).
"""

from typing import Literal, NamedTuple

#: The name of each kind; a type, so that mypy finds a misspelt name.
Slug = Literal[
    "bad-request",
    "malformed-json",
    "invalid-body",
    "invalid-parameter",
    "unauthorized",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "not-acceptable",
    "conflict",
    "gone",
    "length-required",
    "precondition-failed",
    "too-large",
    "uri-too-long",
    "unsupported-media-type",
    "range-not-satisfiable",
    "unprocessable",
    "precondition-required",
    "too-many-requests",
    "headers-too-large",
    "internal-error",
    "error",
    "bad-gateway",
    "unavailable",
    "gateway-timeout",
]


class Kind(NamedTuple):
    """One kind of error: HTTP status, short title, meaning, and what to do."""

    status: int
    title: str
    meaning: str
    remedy: str


KINDS: dict[Slug, Kind] = {
    "bad-request": Kind(
        400,
        "Bad request",
        "The request could not be understood.",
        "Compare the request with the documentation of the route.",
    ),
    "malformed-json": Kind(
        400,
        "Malformed JSON",
        "The body is not the JSON that this server accepts.",
        "Send UTF-8 JSON (RFC 8259) without duplicate keys, NaN, infinities, integers "
        "beyond 64 bits, NUL or lone surrogates, nested at most 64 deep.",
    ),
    "invalid-body": Kind(
        400,
        "Invalid body",
        "The body does not match the schema of this route.",
        "Each entry of `errors` points at a place in the body and names the rule.",
    ),
    "invalid-parameter": Kind(
        400,
        "Invalid parameter",
        "A part of the URL or of its query is not valid.",
        "Each entry of `errors` names the parameter and what is allowed.",
    ),
    "unauthorized": Kind(
        401,
        "Unauthorized",
        "This route needs credentials that were not sent or not accepted.",
        "Send valid credentials.",
    ),
    "forbidden": Kind(
        403,
        "Forbidden",
        "These credentials do not allow this.",
        "Ask for access, or use other credentials.",
    ),
    "not-found": Kind(
        404,
        "Not found",
        "There is nothing at this URL.",
        "Check the URL; the record may be deleted or expired.",
    ),
    "method-not-allowed": Kind(
        405,
        "Method not allowed",
        "This URL does not support this method.",
        "Use one of the methods in the Allow header.",
    ),
    "not-acceptable": Kind(
        406,
        "Not acceptable",
        "No representation matches the Accept header.",
        "Accept application/json.",
    ),
    "conflict": Kind(
        409,
        "Conflict",
        "The request contradicts what is stored.",
        "Read the record again, then change the request.",
    ),
    "gone": Kind(410, "Gone", "This existed and will not return.", "Do not ask again."),
    "length-required": Kind(
        411,
        "Length required",
        "The body came in chunks, without its length.",
        "Send Content-Length, not Transfer-Encoding.",
    ),
    "precondition-failed": Kind(
        412,
        "Precondition failed",
        "The record has changed since it was read.",
        "Read it again, and repeat the change with its new ETag.",
    ),
    "too-large": Kind(
        413,
        "Content too large",
        "The body is larger than this server accepts.",
        "Send less at once.",
    ),
    "uri-too-long": Kind(
        414, "URI too long", "The URL is longer than accepted.", "Send a shorter one."
    ),
    "unsupported-media-type": Kind(
        415,
        "Unsupported media type",
        "The Content-Type or Content-Encoding of the body is not accepted here.",
        "Send one of the types in the Accept-Post or Accept-Patch header, not encoded.",
    ),
    "range-not-satisfiable": Kind(
        416,
        "Range not satisfiable",
        "The file does not have this range of bytes.",
        "Ask for a range within the length in Content-Range.",
    ),
    "unprocessable": Kind(
        422,
        "Unprocessable content",
        "The body is valid, but what it asks for is impossible.",
        "Each entry of `errors` points at the part that cannot be fulfilled.",
    ),
    "precondition-required": Kind(
        428,
        "Precondition required",
        "This resource is changed only with an If-Match header.",
        "Read the record, and send its ETag in If-Match.",
    ),
    "too-many-requests": Kind(
        429,
        "Too many requests",
        "This client has sent too many requests.",
        "Wait for the seconds in Retry-After.",
    ),
    "headers-too-large": Kind(
        431,
        "Headers too large",
        "The headers are larger than this server accepts.",
        "Send fewer or shorter headers.",
    ),
    "internal-error": Kind(
        500,
        "Internal server error",
        "The server failed. The request id helps its operators to find out why.",
        "Report the request id.",
    ),
    "error": Kind(
        500, "Error", "The server cannot answer this.", "Report the request id."
    ),
    "bad-gateway": Kind(
        502,
        "Bad gateway",
        "The application has not answered.",
        "Try again after the seconds in Retry-After.",
    ),
    "unavailable": Kind(
        503,
        "Service unavailable",
        "A database of this server cannot be reached, or is busy.",
        "Try again after the seconds in Retry-After.",
    ),
    "gateway-timeout": Kind(
        504,
        "Gateway timeout",
        "The application has not answered in time.",
        "Try again after the seconds in Retry-After.",
    ),
}

# Errors of Flask and Werkzeug have a status only.
BY_STATUS: dict[int, Slug] = {
    400: "bad-request",
    **{
        kind.status: slug
        for slug, kind in KINDS.items()
        if kind.status not in (400, 500)
    },
    500: "internal-error",
}
