"""Resources made from models, and by hand: the routes of a feature.

``feature_blueprint`` makes the blueprint of a feature; ``routes_from_model`` the routes
of a model; a subclass of ``Resource`` with ``describe`` on each method is a route that
is written by hand.
"""

from myapp.core.http.description import describe
from myapp.core.http.response import respond
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.resource import Resource
from myapp.core.rest.verbs import routes_from_model

__all__ = ["Resource", "describe", "feature_blueprint", "respond", "routes_from_model"]
