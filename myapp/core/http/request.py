"""Input checks: bad input is refused before any code of a feature sees it."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from flask import Flask, current_app, g, request

from myapp.core.access.rules import SAFE_METHODS
from myapp.core.errors.problem import Problem, invalid_parameter
from myapp.core.http.methods import methods_of
from myapp.core.model.key import UUID_KEY, Key
from myapp.core.schema import strict_json
from myapp.core.stores.state import UNREAD, RequestState, request_state

JSON_TYPE = "application/json"
# The characters of a path that need no encoding, RFC 3986 section 3.3.
PATH_CHARACTERS = "/:@!$&'()*+,;=~-._"
# What follows the path of a resource in the rules of its own routes.
LAST_PART = re.compile(r"/(batch|<id>)?/?\Z")
REFUSED_IN_URL = re.compile(r"[\x00\ud800-\udfff]")


def start_request() -> None:
    """Begin the state of this request."""
    g.state = RequestState(request.method in SAFE_METHODS, is_request=True)


def check_url() -> None:
    """Refuse NUL and bytes that are not UTF-8 in the path and the query, and a URL of
    which uWSGI has dropped a part, because its buffer was full.

    :raises Problem: 400 or 414.
    """
    environ = request.environ
    path, query = environ.get("PATH_INFO"), environ.get("QUERY_STRING")
    if path is None or query is None:
        if "uwsgi.version" in environ:
            raise Problem("uri-too-long")
        path, query = path or "", query or ""
    if path.isascii() and query.isascii() and "\x00" not in path and "%" not in query:
        return
    # WSGI hands bytes over as Latin-1 (PEP 3333).
    raw_query = unquote_to_bytes(query.encode("latin-1", "replace"))
    for part in (path.encode("latin-1"), raw_query):
        try:
            text = part.decode("utf-8")
        except UnicodeDecodeError:
            text = "\x00"
        if REFUSED_IN_URL.search(text):
            raise Problem("bad-request", "The URL is not UTF-8, or contains NUL.")


def check_length() -> None:
    """Refuse a body of unknown length, unless the server reads chunks itself.

    :raises Problem: 411.
    """
    environ = request.environ
    if "HTTP_TRANSFER_ENCODING" in environ and not environ.get("wsgi.input_terminated"):
        raise Problem("length-required")


def read_json(types: Sequence[str] = (JSON_TYPE,), accept: str = "Accept-Post") -> Any:
    """The body of this request as a value; parsed once.

    :param types: the media types that this route accepts.
    :param accept: the header that lists them in a 415.
    :raises Problem: 413, 415, or 400 when :mod:`~myapp.core.schema.strict_json` refuses
        the body.
    """
    state = request_state()
    if state.body is UNREAD:
        check_type(types, accept)
        try:
            state.body = strict_json.loads(request.get_data(cache=True))
        except strict_json.JSONRefused as error:
            raise Problem("malformed-json", str(error)) from error
    return state.body


def check_type(types: Sequence[str], accept: str) -> None:
    """Refuse another Content-Type, another charset or an encoded body.

    :raises Problem: 415 with the header that lists the accepted types.
    """
    environ = request.environ
    if environ.get("CONTENT_TYPE") in types and "HTTP_CONTENT_ENCODING" not in environ:
        return
    if request.mimetype in types and request.content_encoding in (None, "identity"):
        charset = request.mimetype_params.get("charset", "utf-8").lower()
        if charset in ("utf-8", "utf8"):
            return
    detail = f"Send {' or '.join(types)} in UTF-8, without a Content-Encoding."
    headers = {accept: ", ".join(types)}
    raise Problem("unsupported-media-type", detail, headers=headers)


def check_id(text: str, key: Key = UUID_KEY) -> Any:
    """The id of a record from the path.

    :param key: that of its model.
    :raises Problem: 400 when it is not an id of this kind; 405 when it is the last part
        of another route, such as ``/batch``, which does not support this method.
    """
    try:
        return key.parse(text)
    except ValueError as error:
        methods = methods_beside(text)
        if methods:
            allow = {"Allow": ", ".join(sorted(methods))}
            raise Problem("method-not-allowed", headers=allow) from error
        raise invalid_parameter("id", str(error)) from error


def methods_beside(last: str) -> set[str]:
    """The methods of another route beside the one of this request.

    :param last: the last part of its path, such as ``batch``.
    """
    return methods_of(f"{place_of_request()}/{last}")


def names_beside() -> set[str]:
    """The last parts of the paths of other routes beside the one of this request."""
    base = f"{place_of_request()}/"
    rules = [route.rule for route in current_app.url_map.iter_rules()]
    found = {rule.removeprefix(base) for rule in rules if rule.startswith(base)}
    return {rule.strip("/") for rule in found}


def place_of_request() -> str:
    """The rule of the resource that the route of this request belongs to."""
    rule = request.url_rule.rule if request.url_rule else ""
    return LAST_PART.sub("", rule)


def path_of_request() -> str:
    """The path of this request, encoded, for a header."""
    return quote(f"{request.script_root}{request.path}", safe=PATH_CHARACTERS)


def init_app(app: Flask) -> None:
    """Check every request before any other code runs."""
    app.before_request(start_request)
    app.before_request(check_url)
    app.before_request(check_length)
