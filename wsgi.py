"""The WSGI entry point: ``wsgi:app``, for uWSGI and for the flask command."""

import sys

from myapp import create_app
from myapp.core.errors import ConfigError

try:
    app = create_app()
except ConfigError as error:
    sys.exit(f"myapp: {error}")
