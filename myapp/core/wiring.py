"""Puts the rooms together, for each application and for each feature."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from flask import Blueprint, Flask

from myapp.core import cli
from myapp.core.access.rules import SAFE_METHODS
from myapp.core.audit import AuditLine
from myapp.core.audit import line as audit
from myapp.core.docs import browsing, pages
from myapp.core.errors.problem import PROBLEM_SCHEMA
from myapp.core.errors.startup import ConfigError
from myapp.core.feature import Feature
from myapp.core.http import (
    access,
    errors,
    freshness,
    headers,
    health,
    jobs,
    limits,
    logs,
    request,
)
from myapp.core.http.access import access_of, access_table
from myapp.core.http.description import description_of
from myapp.core.jobs import cleaning  # noqa: F401  declares the crons of core
from myapp.core.jobs import run as jobs_run
from myapp.core.loading import import_when_used
from myapp.core.mail import send as mail
from myapp.core.rest import context
from myapp.core.rest.api import FeatureBlueprint
from myapp.core.schema.registry import Schemas
from myapp.core.stores.observer import Observer
from myapp.core.stores.redis.store import RedisStore
from myapp.core.stores.sql.store import SqlStore
from myapp.core.stores.store import Store

#: The stores, in the order in which they commit: Redis stores nothing if SQL fails.
STORES: tuple[Store, ...] = (SqlStore(), RedisStore())


def init_app(app: Flask) -> None:
    """Wire the core into an application. The order matters: the first part runs first
    in a request, and last in its response.

    :raises ConfigError: when a store cannot be used with these settings.
    """
    app.config["RESTX_INCLUDE_ALL_MODELS"] = True
    app.config["RESTX_MASK_SWAGGER"] = False
    app.extensions["features"] = {}
    app.extensions["used_stores"] = {}
    app.extensions["schemas"] = Schemas()
    app.extensions["schemas"].add(PROBLEM_SCHEMA)
    app.extensions["stores"] = STORES
    for store in STORES:
        store.check_config(app)
    cli.init_app(app)
    if app.config["OTLP_ENDPOINT"]:
        extra("OTLP_ENDPOINT", "myapp.core.http.tracing:init_app")(app)
    if app.config["SENTRY_DSN"]:
        extra("SENTRY_DSN", "myapp.core.http.sentry:init_app")(app)
    request.init_app(app)
    freshness.init_app(app)
    limits.init_app(app)
    access.init_app(app)
    context.init_app(app)
    logs.init_app(app)
    audit.init_app(app)
    jobs_run.init_app(app)
    mail.init_app(app)
    observers: Mapping[str, Observer] = {}
    if app.config["METRICS_TOKEN"]:
        start_metrics = import_when_used("myapp.core.http.metrics:init_app")
        observers = start_metrics(app, [store.component for store in STORES])
    headers.init_app(app)
    errors.init_app(app)
    browsing.init_app(app)
    for store in STORES:
        store.init_app(app, observers.get(store.component))
        if app.config["OTLP_ENDPOINT"]:
            extra("OTLP_ENDPOINT", store.instrumentor)().instrument(**store.traced(app))
    for method in SAFE_METHODS:
        access_table(app)["static", method] = access.PUBLIC
    for blueprint in core_blueprints(app):
        app.register_blueprint(blueprint)
        complete_routes(app, blueprint.name, None)


def check_roles(app: Flask, roles: Iterable[str]) -> None:
    """Check that roles are in the setting ``ROLES``.

    :raises LookupError: when one is not.
    """
    known = app.config["ROLES"]
    for name in roles:
        if name not in known:
            raise LookupError(f"{name} is not in ROLES: {', '.join(known)}")


def core_blueprints(app: Flask) -> list[Blueprint]:
    """The blueprints that belong to no feature."""
    found = [pages.blueprint, health.blueprint, jobs.blueprint]
    if app.config["METRICS_TOKEN"]:
        found.append(import_when_used("myapp.core.http.metrics:blueprint"))
    if app.config["ENV"] == "development":
        found.append(import_when_used("myapp.core.docs.mails:blueprint"))
    return found


def extra(setting: str, name: str) -> Any:
    """A function of a module whose packages are in requirements-extras.txt.

    :raises ConfigError: when one of them is missing.
    """
    try:
        return import_when_used(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{setting} needs the package {error.name}: see requirements-extras.txt"
        ) from error


def settings_of(blueprints: Iterable[FeatureBlueprint]) -> dict[str, Any]:
    """The settings of the features, with their defaults."""
    found: dict[str, Any] = {}
    for blueprint in blueprints:
        found |= blueprint.settings
    return found


def mount(app: Flask, feature: Feature, blueprint: FeatureBlueprint) -> None:
    """Mount a feature: its routes, its schemas, and the access that they state.

    :raises LookupError: when a route states no access.
    :raises ValueError: when a schema has no ``$id``, or the ``$id`` of another schema;
        for a prefix that core uses.
    """
    if first_part(feature.url_prefix) in core_paths(app):
        raise ValueError(f"{feature.name}: {feature.url_prefix} is a path of core")
    app.register_blueprint(blueprint, url_prefix=feature.url_prefix)
    app.extensions["features"][feature.name] = feature
    app.extensions["used_stores"][feature.name] = stores_of(feature, blueprint)
    complete_routes(app, blueprint.name, feature)


def first_part(path: str) -> str:
    """The path up to its second slash."""
    return "/".join(path.split("/", 2)[:2])


def core_paths(app: Flask) -> set[str]:
    """The first parts of the paths of core, which no feature may have."""
    features = app.extensions["features"]
    return {
        first_part(rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] not in features
    }


def stores_of(feature: Feature, blueprint: FeatureBlueprint) -> set[str]:
    """The names of the stores that a feature uses.

    :raises LookupError: when its row names a store that does not exist.
    """
    unknown = set(feature.stores) - {store.name for store in STORES}
    if unknown:
        raise LookupError(f"{feature.name} names unknown stores: {unknown}")
    served = [
        model
        for namespace in blueprint.api.namespaces
        for model in getattr(namespace, "served", ())
    ]
    related = [one.model for model in served for one in model.relations.values()]
    lines = [AuditLine for model in served if model.audited]
    return {*feature.stores, *(one.__store__ for one in [*served, *related, *lines])}


def complete_routes(app: Flask, name: str, feature: Feature | None) -> None:
    """Add the schemas of the routes of a blueprint, and compile who may call each of
    its methods.

    :param feature: the row of the feature, ``None`` outside features.
    :raises LookupError: when a method states no access, or names an unknown role.
    """
    schemas, table = app.extensions["schemas"], access_table(app)
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(f"{name}."):
            view = app.view_functions[rule.endpoint]
            for method in rule.methods or ():
                description = description_of(view, method)
                for schema in description.schemas() if description else ():
                    schemas.add(schema)
                row = feature.access_of(method) if feature else None
                who = access_of(view, method, row)
                if feature and not who.is_public:
                    who = replace(who, scope=feature.scope_of(method))
                table[rule.endpoint, method] = who
                check_roles(app, who.roles)
                context.guard_model(app, getattr(view, "view_class", view), method, who)
    schemas.check_references()
