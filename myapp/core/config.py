"""Loading the configuration, and refusing the dangerous ones."""

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from myapp.core.feature import Feature

CLASSES = {
    "production": "default_config.ProductionConfig",
    "development": "default_config.DevelopmentConfig",
    "testing": "default_config.TestingConfig",
}
MINIMUM_SECRET_LENGTH = 32
REDIS_SCHEMES = ("redis", "rediss", "unix")
DEFAULT_PASSWORDS = frozenset(
    "admin changeme guest mysql password postgres redis root secret test".split()
)


class ConfigError(RuntimeError):
    """A setting makes it unsafe or impossible to start; the text is one line."""


def load_config(app: Flask, test_config: Mapping[str, Any] | None = None) -> None:
    """Fill ``app.config``: class, then instance file, then ``MYAPP_*``.

    :param test_config: replaces the instance file, and picks the testing class
        unless ``MYAPP_ENV`` or its own key ``ENV`` names another.
    :raises ConfigError: see :func:`check_config`.
    """
    chosen = (test_config or {}).get("ENV") or os.environ.get("MYAPP_ENV")
    env = chosen or ("testing" if test_config is not None else "production")
    if env not in CLASSES:
        known = ", ".join(CLASSES)
        raise ConfigError(f"MYAPP_ENV is {env!r}; it must be one of: {known}")
    app.config.from_object(CLASSES[env])
    if test_config is None:
        app.config.from_pyfile(Path(app.instance_path, "config.py"), silent=True)
    else:
        app.config.from_mapping(test_config)
    app.config.from_prefixed_env("MYAPP")
    app.config["ENV"] = env
    check_config(app)


def check_config(app: Flask) -> None:
    """Refuse settings that must not reach a user.

    :raises ConfigError: in every environment on an instance folder that cannot
        be written although a store lives there, or a URL that is none; in
        production also on a weak secret, debug mode or a default password.
    """
    check_instance_folder(app)
    check_urls(app)
    if app.config["LOG_LEVEL"] not in logging.getLevelNamesMapping():
        known = ", ".join(logging.getLevelNamesMapping())
        raise ConfigError(f"LOG_LEVEL must be one of: {known}")
    if app.config["ENV"] != "production":
        return
    if app.debug or app.testing:
        raise ConfigError("DEBUG and TESTING must be off in production")
    secret = app.config["SECRET_KEY"]
    if not isinstance(secret, str) or len(secret) < MINIMUM_SECRET_LENGTH:
        raise ConfigError(
            f"SECRET_KEY must have at least {MINIMUM_SECRET_LENGTH} characters in "
            "production; `flask new-secret` writes one into instance/config.py"
        )
    if len(set(secret)) < MINIMUM_SECRET_LENGTH // 4:
        raise ConfigError("SECRET_KEY repeats itself; `flask new-secret` makes one")


def check_instance_folder(app: Flask) -> None:
    """Refuse to start when a store needs the instance folder and cannot have it."""
    if app.config["SQLALCHEMY_DATABASE_URI"] and app.config["REDIS_URL"]:
        return
    try:
        os.makedirs(app.instance_path, exist_ok=True)
        with tempfile.TemporaryFile(dir=app.instance_path):
            pass
    except OSError as error:
        raise ConfigError(
            f"the instance folder cannot be written: {error.strerror}: "
            f"{app.instance_path}"
        ) from error


def check_urls(app: Flask) -> None:
    """Refuse URLs that cannot be read and, in production, default passwords."""
    for name in ("SQLALCHEMY_DATABASE_URI", "REDIS_URL"):
        text = app.config[name]
        if not text:
            continue
        try:
            url = make_url(text)
            if name == "SQLALCHEMY_DATABASE_URI":
                url.get_dialect().import_dbapi()
            elif url.drivername not in REDIS_SCHEMES:
                raise ConfigError(f"{name} is none of {', '.join(REDIS_SCHEMES)}")
        except (ArgumentError, ImportError) as error:
            raise ConfigError(
                f"{name} is not a URL, or its driver is missing"
            ) from error
        password = str(url.password).lower() if url.password else None
        is_default = password in DEFAULT_PASSWORDS or password == url.username
        if app.config["ENV"] == "production" and password and is_default:
            raise ConfigError(f"{name} carries a default password")


def enabled_features(app: Flask, features: Iterable[Feature]) -> list[Feature]:
    """The rows of the mount table that ``ENABLED_FEATURES`` asks for.

    :raises ConfigError: when it names a feature that does not exist.
    """
    wanted = app.config["ENABLED_FEATURES"]
    rows = list(features)
    if wanted == "all":
        return rows
    names = re.split(r"[,\s]+", wanted) if isinstance(wanted, str) else wanted
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError("ENABLED_FEATURES is no list of names")
    names = [name for name in names if name]
    unknown = sorted(set(names) - {row.name for row in rows})
    if unknown:
        raise ConfigError(f"ENABLED_FEATURES names no feature: {', '.join(unknown)}")
    return [row for row in rows if row.name in names]
