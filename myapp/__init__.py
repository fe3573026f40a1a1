"""myapp: a feature-sliced REST API server. A feature is a folder in here."""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from myapp.core.http import App


def create_app(test_config: Mapping[str, Any] | None = None) -> "App":
    """Build the application.

    :param test_config: settings that take the place of ``instance/config.py``.
    :raises ConfigError: when a setting makes it unsafe or impossible to run.
    """
    # Imported here, so that one room of core can be imported without all others.
    from myapp.core import wiring
    from myapp.core.config import enabled_features, load_config
    from myapp.core.http import App
    from myapp.features import FEATURES

    folder = os.environ.get("MYAPP_INSTANCE_PATH")
    app = App(__name__, instance_path=os.path.abspath(folder) if folder else None)
    # Imported even when they are not mounted, so that migrations see their tables.
    packages = {row.name: import_module(f"{__name__}.{row.name}") for row in FEATURES}
    blueprints = {name: package.blueprint for name, package in packages.items()}
    load_config(app, test_config, wiring.settings_of(blueprints.values()))
    wiring.init_app(app)
    for feature in enabled_features(app, FEATURES):
        wiring.mount(app, feature, blueprints[feature.name])
    return app
