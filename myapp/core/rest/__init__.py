"""Resources made from models, and by hand: the routes of a feature.

``feature_blueprint`` makes the blueprint of a feature; ``routes_from_model`` the routes
of a model; a subclass of ``Resource`` with ``describe`` on each method is a route that
is written by hand, and ``describe_list`` with ``respond_list`` gives it a list query.
"""

from myapp.core.http.description import describe
from myapp.core.http.response import respond
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.lists import describe_list, respond_list
from myapp.core.rest.resource import Resource
from myapp.core.rest.verbs import routes_from_model

__all__ = [
    "Resource",
    "describe",
    "describe_list",
    "feature_blueprint",
    "respond",
    "respond_list",
    "routes_from_model",
]
