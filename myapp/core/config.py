"""Loads the configuration, and refuses wrong and dangerous settings.

pydantic-settings would check types, too, but it reads the environment in its own way,
and its import takes longer than that of Flask.
"""

import difflib
import logging
import math
import os
import re
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from flask import Flask

from myapp.core.errors.startup import ConfigError
from myapp.core.feature import Feature
from myapp.core.loading import import_when_used

CONFIG_CLASSES = {
    "production": "default_config:ProductionConfig",
    "development": "default_config:DevelopmentConfig",
    "testing": "default_config:TestingConfig",
}
MINIMUM_SECRET_LENGTH = 32
LOG_FORMATS = ("json", "text")
PREFIX = "MYAPP_"
# Settings of the extensions, and what is read before the configuration is loaded.
OTHER_NAMES = frozenset(
    {
        "ENV",
        "INSTANCE_PATH",
        "SQLALCHEMY_BINDS",
        "SQLALCHEMY_ECHO",
        "SQLALCHEMY_RECORD_QUERIES",
        "SQLALCHEMY_TRACK_MODIFICATIONS",
    }
)
# Numbers that must not be 0; all others may be.
ABOVE_ZERO = frozenset(
    {
        "DATABASE_CONNECT_TIMEOUT",
        "DATABASE_LOCK_TIMEOUT",
        "DATABASE_POOL_TIMEOUT",
        "DATABASE_STATEMENT_TIMEOUT",
        "IDEMPOTENCY_TTL",
        "MAX_CONTENT_LENGTH",
        "REDIS_TIMEOUT",
    }
)
LARGEST_NUMBER = 2**31 - 1
# The values of these settings are not shown, because they may contain a password.
UNSHOWN = re.compile("SECRET|PASSWORD|KEY|TOKEN|URI|URL|OPTIONS|PROVIDERS")
TAKES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list of texts",
    dict: "an object",
}


def load_config(
    app: Flask,
    test_config: Mapping[str, Any] | None = None,
    feature_settings: Mapping[str, Any] | None = None,
) -> None:
    """Fill ``app.config``: class, then instance file, then ``MYAPP_*``.

    :param test_config: replaces the instance file, and selects the testing class
        unless ``MYAPP_ENV`` or its own key ``ENV`` names another class.
    :param feature_settings: the settings of the features, with their defaults.
    :raises ConfigError: for an unknown name or a value of another type, and see
        :func:`check_config`.
    """
    own = dict(feature_settings or {})
    chosen = (test_config or {}).get("ENV") or os.environ.get("MYAPP_ENV")
    env = chosen or ("testing" if test_config is not None else "production")
    if env not in CONFIG_CLASSES:
        known = ", ".join(CONFIG_CLASSES)
        raise ConfigError(f"MYAPP_ENV is {env!r}; it must be one of: {known}")
    flask_names = set(app.config)
    chosen_class = import_when_used(CONFIG_CLASSES[env])
    types = setting_types(chosen_class, own)
    app.config.from_mapping(own)
    app.config.from_object(chosen_class)
    if test_config is None:
        read_instance(app)
    else:
        app.config.from_mapping(test_config)
    app.config.from_prefixed_env(PREFIX.rstrip("_"))
    for name in [name for name, kind in types.items() if kind is str]:
        # A text that is JSON by chance, such as a key of digits, stays a text.
        if PREFIX + name in os.environ and not isinstance(app.config[name], str):
            app.config[name] = os.environ[PREFIX + name]
    app.config["ENV"] = env
    check_names(app.config, flask_names | set(types) | OTHER_NAMES)
    for name, kind in types.items():
        check_value(name, app.config[name], kind)
    check_config(app)


def read_instance(app: Flask) -> None:
    """Read ``instance/config.py``, where there is one.

    :raises ConfigError: when it is no Python. It does not show the line, which may hold
        a secret.
    """
    path = Path(app.instance_path, "config.py")
    try:
        app.config.from_pyfile(path, silent=True)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        here = [one.lineno for one in frames if one.filename == str(path)]
        number = error.lineno if isinstance(error, SyntaxError) else here and here[-1]
        where = f" in line {number}" if number else ""
        raise ConfigError(f"{path}: {type(error).__name__}{where}") from None


def setting_types(chosen: type, own: Mapping[str, Any]) -> dict[str, Any]:
    """The type of each setting: the annotation in the class, or else that of its
    default.

    :param own: the settings of the features, with their defaults.
    """
    stated = get_type_hints(chosen)
    defaults = {name: getattr(chosen, name) for name in dir(chosen) if name.isupper()}
    return {
        name: stated.get(name, type(default))
        for name, default in {**own, **defaults}.items()
    }


def check_names(given: Iterable[str], known: set[str]) -> None:
    """Refuse a name that is not a setting.

    :raises ConfigError: with the most similar name, if there is one.
    """
    for name in sorted(set(given) - known):
        near = difflib.get_close_matches(name, known, 1)
        stated = PREFIX + name if PREFIX + name in os.environ else name
        raise ConfigError(
            f"{stated} is not a setting; "
            + (f"did you mean {near[0]}? " if near else "")
            + "The settings are in default_config.py"
        )


def check_value(name: str, value: Any, kind: Any) -> None:
    """Refuse a value of another type, and a number out of range.

    :param kind: ``bool``, ``int``, ``float``, ``str``, ``list[str]``, ``dict`` or a
        union of these.
    :raises ConfigError: with the setting, its value unless it may be a secret, and what
        it takes.
    """
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    kinds = tuple(get_origin(one) or one for one in kinds)
    if any(fits(name, value, one) for one in kinds):
        return
    takes = " or ".join(TAKES[one] for one in kinds)
    if kinds[0] in (int, float):
        least = "above 0" if name in ABOVE_ZERO else "from 0"
        takes = f"{takes} {least} to {LARGEST_NUMBER}"
    shown = "a secret value" if UNSHOWN.search(name) else repr(value)
    raise ConfigError(f"{name} is {shown}; it takes {takes}")


def fits(name: str, value: Any, kind: type) -> bool:
    """Whether a value has a type, and is in the range of its setting."""
    if kind is list:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if kind is int or kind is float:
        if isinstance(value, bool) or not isinstance(value, (int, kind)):
            return False
        least = math.ulp(0.0) if name in ABOVE_ZERO else 0
        return least <= value <= LARGEST_NUMBER
    return isinstance(value, kind)


def check_config(app: Flask) -> None:
    """Refuse unsafe settings; each store checks its own settings.

    :raises ConfigError: for an unknown log level or format, or an origin that is not a
        pattern; in production also for a weak secret or debug mode.
    """
    if app.config["LOG_LEVEL"] not in logging.getLevelNamesMapping():
        known = ", ".join(logging.getLevelNamesMapping())
        raise ConfigError(f"LOG_LEVEL must be one of: {known}")
    if app.config["LOG_FORMAT"] not in LOG_FORMATS:
        raise ConfigError(f"LOG_FORMAT must be one of: {', '.join(LOG_FORMATS)}")
    for origin in app.config["CORS_ORIGINS"]:
        try:
            re.compile(origin)
        except re.error as error:
            raise ConfigError(f"CORS_ORIGINS: {origin!r}: {error}") from error
    if app.config["ENV"] != "production":
        return
    check_modes(app)
    secret = app.config["SECRET_KEY"]
    if len(secret) < MINIMUM_SECRET_LENGTH:
        raise ConfigError(
            f"SECRET_KEY must have at least {MINIMUM_SECRET_LENGTH} characters in "
            "production; `flask new-secret` writes one into instance/config.py"
        )
    if len(set(secret)) < MINIMUM_SECRET_LENGTH // 4:
        raise ConfigError("SECRET_KEY repeats itself; `flask new-secret` makes one")


def check_modes(app: Flask) -> None:
    """Refuse what is for developers and tests, in production.

    :raises ConfigError: with the setting.
    """
    if app.debug or app.testing:
        raise ConfigError("DEBUG and TESTING must be off in production")
    if app.config["JOBS_EAGER"]:
        raise ConfigError("JOBS_EAGER must be off in production")


def enabled_features(app: Flask, features: Iterable[Feature]) -> list[Feature]:
    """The rows of the mount table that ``ENABLED_FEATURES`` names.

    :raises ConfigError: when it names a feature that does not exist.
    """
    wanted = app.config["ENABLED_FEATURES"]
    rows = list(features)
    if wanted == "all":
        return rows
    names = re.split(r"[,\s]+", wanted) if isinstance(wanted, str) else wanted
    names = [name for name in names if name]
    unknown = sorted(set(names) - {row.name for row in rows})
    if unknown:
        raise ConfigError(
            f"ENABLED_FEATURES names unknown features: {', '.join(unknown)}"
        )
    return [row for row in rows if row.name in names]
