"""What the index shows: the features, their routes, what is stored, and the stores."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from flask import current_app, url_for
from werkzeug.routing import Rule

from myapp.core.docs.openapi import template_of
from myapp.core.http.access import access_table
from myapp.core.http.health import check
from myapp.core.http.methods import METHODS
from myapp.core.model.context import unscoped
from myapp.core.query.list_query import ListQuery
from myapp.core.rest.api import api_of
from myapp.core.stores.store import registered_stores


def features_summary() -> list[dict[str, Any]]:
    """Each mounted feature with its routes."""
    return [feature_summary(name) for name in current_app.extensions["features"]]


def feature_summary(name: str) -> dict[str, Any]:
    """A mounted feature as the index shows it."""
    feature = current_app.extensions["features"][name]
    mine = [rule for rule in rules() if rule.endpoint.startswith(f"{name}.")]
    return {
        "name": name,
        "url": f"{feature.url_prefix}/",
        "docs": url_for(f"{name}.docs"),
        "about": api_of(current_app, name).description,
        "routes": [route for rule in mine for route in rule_summaries(rule)],
    }


def rules() -> list[Rule]:
    """The routes, in the order of their paths."""
    return sorted(current_app.url_map.iter_rules(), key=lambda one: one.rule)


def rule_summaries(rule: Rule) -> Iterator[dict[str, Any]]:
    """Each method of a route, with its path and the first part of its docstring; one
    that anybody can open in a browser says so."""
    view = current_app.view_functions[rule.endpoint]
    resource = getattr(view, "view_class", None)
    if resource is not None:
        path = template_of(rule)
        for method in [name for name in METHODS if name in resource.methods]:
            text = getattr(resource, method.lower()).__doc__ or ""
            about = " ".join(text.partition("\n\n")[0].split())
            found = {"method": method, "path": path, "about": about}
            # Nobody is asked who calls: the page has to come while sessions cannot.
            who = access_table(current_app)[rule.endpoint, method]
            is_open = method == "GET" and not rule.arguments and who.is_public
            yield found | {"can_open": is_open}


def stored() -> dict[str, int]:
    """How many records each list has, by its path. Only in development, on the machine
    of one person: it takes time, and tells of records that are not for everybody."""
    if current_app.config["ENV"] != "development":
        return {}
    found: dict[str, int] = {}
    # The page has to come also when a store is down, or has no tables yet.
    errors = [error for store in registered_stores() for error in store.errors]
    with unscoped():
        for rule in rules():
            view = current_app.view_functions[rule.endpoint]
            model = getattr(getattr(view, "view_class", None), "model", None)
            if model is not None and not rule.arguments and rule.rule.endswith("/"):
                with suppress(*errors):
                    found[rule.rule] = model.count(ListQuery())
    return found


def stores() -> dict[str, Any]:
    """Whether each store answers."""
    return check({one.name for one in registered_stores()})
