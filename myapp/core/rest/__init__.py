"""Resources made from models, and by hand: the routes of a feature.

``feature_blueprint`` makes the blueprint of a feature; ``routes_from_model`` the routes
of a model; a subclass of ``Resource`` with ``describe`` on each method is a route that
is written by hand, and ``describe_list`` with ``respond_list`` gives it a list query.
A route that writes a record is a ``ModelResource``: ``check_id`` reads the id,
``to_write`` finds the record and checks If-Match, ``respond_record`` adds the ETag.
``accepted`` is the response of a route that has started a job, ``JOB_SCHEMA`` its body.
"""

from myapp.core.http.description import describe
from myapp.core.http.jobs import JOB_SCHEMA, accepted
from myapp.core.http.request import check_id
from myapp.core.http.response import respond
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.lists import describe_list, respond_list
from myapp.core.rest.resource import ModelResource, Resource
from myapp.core.rest.verbs import respond_record, routes_from_model, to_write

__all__ = [
    "JOB_SCHEMA",
    "ModelResource",
    "Resource",
    "accepted",
    "check_id",
    "describe",
    "describe_list",
    "feature_blueprint",
    "respond",
    "respond_list",
    "respond_record",
    "routes_from_model",
    "to_write",
]
