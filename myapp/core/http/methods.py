"""The HTTP methods, and those of a route."""

from flask import current_app

#: The methods that a resource may have, in the order in which pages show them.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: The methods that do not write, RFC 9110 section 9.2.1.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def methods_of(rule: str) -> set[str]:
    """The methods of a route, and of no other that may match the same paths; empty
    when there is no such route.

    :param rule: as it is written, such as ``/carts/batch``; so a path is the rule of a
        route without variables.
    """
    wanted = rule.rstrip("/")
    found: set[str] = set()
    for one in current_app.url_map.iter_rules():
        if one.rule.rstrip("/") == wanted:
            found |= one.methods or set()
    return found
