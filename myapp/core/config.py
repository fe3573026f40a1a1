"""Loads the configuration, and refuses dangerous settings."""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from myapp.core.errors.startup import ConfigError
from myapp.core.feature import Feature

CONFIG_CLASSES = {
    "production": "default_config.ProductionConfig",
    "development": "default_config.DevelopmentConfig",
    "testing": "default_config.TestingConfig",
}
MINIMUM_SECRET_LENGTH = 32


def load_config(app: Flask, test_config: Mapping[str, Any] | None = None) -> None:
    """Fill ``app.config``: class, then instance file, then ``MYAPP_*``.

    :param test_config: replaces the instance file, and selects the testing class
        unless ``MYAPP_ENV`` or its own key ``ENV`` names another class.
    :raises ConfigError: see :func:`check_config`.
    """
    chosen = (test_config or {}).get("ENV") or os.environ.get("MYAPP_ENV")
    env = chosen or ("testing" if test_config is not None else "production")
    if env not in CONFIG_CLASSES:
        known = ", ".join(CONFIG_CLASSES)
        raise ConfigError(f"MYAPP_ENV is {env!r}; it must be one of: {known}")
    app.config.from_object(CONFIG_CLASSES[env])
    if test_config is None:
        app.config.from_pyfile(Path(app.instance_path, "config.py"), silent=True)
    else:
        app.config.from_mapping(test_config)
    app.config.from_prefixed_env("MYAPP")
    app.config["ENV"] = env
    check_config(app)


def check_config(app: Flask) -> None:
    """Refuse unsafe settings; each store checks its own settings.

    :raises ConfigError: for an unknown log level, or keys that are no list; in
        production also for a weak secret or debug mode.
    """
    if app.config["LOG_LEVEL"] not in logging.getLevelNamesMapping():
        known = ", ".join(logging.getLevelNamesMapping())
        raise ConfigError(f"LOG_LEVEL must be one of: {known}")
    former = app.config["SECRET_KEY_FALLBACKS"]
    if not isinstance(former, list) or not all(isinstance(one, str) for one in former):
        raise ConfigError("SECRET_KEY_FALLBACKS is not a list of keys")
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


def enabled_features(app: Flask, features: Iterable[Feature]) -> list[Feature]:
    """The rows of the mount table that ``ENABLED_FEATURES`` names.

    :raises ConfigError: when it names a feature that does not exist.
    """
    wanted = app.config["ENABLED_FEATURES"]
    rows = list(features)
    if wanted == "all":
        return rows
    names = re.split(r"[,\s]+", wanted) if isinstance(wanted, str) else wanted
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError("ENABLED_FEATURES is not a list of names")
    names = [name for name in names if name]
    unknown = sorted(set(names) - {row.name for row in rows})
    if unknown:
        raise ConfigError(
            f"ENABLED_FEATURES names unknown features: {', '.join(unknown)}"
        )
    return [row for row in rows if row.name in names]
