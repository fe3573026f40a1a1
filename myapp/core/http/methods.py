"""The HTTP methods, and those of a route."""

from flask import current_app
from werkzeug.routing import Rule

#: The methods that a resource may have, in the order in which pages show them.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def routes_at(rule: str) -> list[Rule]:
    """The routes with exactly this rule, without other routes that match its paths.

    :param rule: as it is written in the route, such as ``/carts/batch``; a path is the
        rule of a route without variables.
    """
    wanted = rule.rstrip("/")
    known = current_app.url_map.iter_rules()
    return [route for route in known if route.rule.rstrip("/") == wanted]


def methods_of(rule: str) -> set[str]:
    """The methods of the routes at a rule; empty when there is no such route."""
    return set().union(*(route.methods or () for route in routes_at(rule)))
