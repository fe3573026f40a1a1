"""Access: checked on every request, before the view function runs.

The rules of all routes are compiled at the start, so a check costs one look-up.
"""

from typing import Any

from flask import Flask, current_app, has_request_context, request

from myapp.core.access.caller import Caller, authenticators_of
from myapp.core.access.rules import Rule, rule_of, stated_access
from myapp.core.errors.problem import Problem
from myapp.core.stores.state import UNREAD, request_state

#: Who may call, by endpoint and method.
AccessTable = dict[tuple[str, str], Rule]

PUBLIC = rule_of("public")
INVALID_TOKEN = 'Bearer error="invalid_token"'


def access_table(app: Flask) -> AccessTable:
    """Who may call each route of an application."""
    table: AccessTable = app.extensions["access"]
    return table


def caller_of_request() -> Caller | None:
    """The caller of this request, from the first authenticator that knows the caller.
    The authenticators run once a request, and only when code asks for the caller."""
    if not has_request_context():
        return None
    state = request_state()
    if state.caller is UNREAD:
        known = (one.authenticate() for one in authenticators_of(current_app))
        found = next((caller for caller in known if caller is not None), None)
        state.caller = None if found is None or found.is_disabled else found
    caller: Caller | None = state.caller
    return caller


def check_access() -> None:
    """Refuse a caller that may not call this route.

    :raises Problem: 401 for a request without accepted credentials, 403 for a known
        caller without access.
    """
    # The request behind the proxy, which would look it up again for each attribute.
    sent = request._get_current_object()  # type: ignore[attr-defined]
    rule = sent.url_rule
    if rule is None:
        return
    who = current_app.extensions["access"].get((rule.endpoint, sent.method))
    if who is None:
        who = late_access(rule.endpoint, sent.method)
    if who.is_public:
        return
    caller = caller_of_request()
    if who.allows(caller):
        return
    if who.lacks_scope(caller):
        told = f'Bearer error="insufficient_scope", scope="{who.scope}"'
        raise Problem(
            "forbidden",
            f"The token lacks the scope {who.scope}.",
            headers={"WWW-Authenticate": told},
        )
    if caller is None and sent_token() is not None and not who.challenge:
        raise invalid_token()
    if caller is None:
        challenges = [one.challenge for one in authenticators_of(current_app)]
        told = who.challenge or ", ".join(filter(None, challenges))
        raise Problem(
            "unauthorized", headers={"WWW-Authenticate": told} if told else {}
        )
    raise Problem("forbidden")


def sent_token() -> str | None:
    """The bearer token of this request, RFC 6750 section 2.1; ``None`` without one. A
    token in the body or in the URL is never read."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def invalid_token() -> Problem:
    """The problem of a token that is wrong, has expired or was revoked, in the same
    words (RFC 6750 section 3.1)."""
    return Problem("unauthorized", headers={"WWW-Authenticate": INVALID_TOKEN})


def known_scopes(app: Flask) -> dict[str, str]:
    """The scopes with which a token is of some use, each with its meaning."""
    found, roles = {}, frozenset(app.config["ROLES"])
    for (endpoint, _), rule in access_table(app).items():
        feature = app.extensions["features"].get(endpoint.partition(".")[0])
        is_of_use = rule.allows(Caller("", roles, frozenset({rule.scope})))
        if rule.scope and feature and is_of_use:
            verb = "Read" if rule.scope.endswith(":read") else "Change"
            found[rule.scope] = f"{verb} what is below {feature.url_prefix}"
    return dict(sorted(found.items()))


def access_of(view: Any, method: str, row: str | None) -> Rule:
    """Who may call one method of a route. HEAD is for the callers of GET. OPTIONS is
    public, since it lists only the methods that this caller may use. Both apply only
    when the class does not define the method.

    :param row: the words on the feature's row for this method, ``None`` outside
        features.

    :raises LookupError: when the route states no access.
    """
    resource = getattr(view, "view_class", None)
    defined = getattr(resource, "methods", None) or ()
    if method == "OPTIONS" and method not in defined:
        return PUBLIC
    is_get = method == "HEAD" and method not in defined
    return stated_access(view, "GET" if is_get else method, row)


def late_access(endpoint: str, method: str) -> Rule:
    """Who may call a route that was added after the start.

    :raises Problem: 403 when it states no access.
    """
    try:
        who = access_of(current_app.view_functions[endpoint], method, None)
    except LookupError as error:
        raise Problem("forbidden", "This route states no access.") from error
    access_table(current_app)[endpoint, method] = who
    return who


def may_call(endpoint: str, method: str) -> bool:
    """Whether the caller of this request may use a method of a route."""
    who = access_table(current_app).get((endpoint, method))
    try:
        who = who or late_access(endpoint, method)
    except Problem:
        return False
    return who.is_public or who.allows(caller_of_request())


def init_app(app: Flask) -> None:
    """Check access before each request."""
    app.extensions["access"] = {}
    app.extensions["current_caller"] = caller_of_request
    app.before_request(check_access)
