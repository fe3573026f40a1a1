"""A database of another time than this code says so, with the remedy."""

import logging

import pytest
from sqlalchemy import text

from myapp.core.errors.startup import ConfigError
from myapp.core.http.app import App
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.sql.revision import difference_of_time
from myapp.core.stores.sql.store import SqlStore


def set_revision(app: App, number: str) -> None:
    """Let the database say that it is at a migration."""
    with app.app_context(), sql.engine.begin() as connection:
        statement = text("UPDATE alembic_version SET version_num = :number")
        connection.execute(statement, {"number": number})


def test_a_database_of_this_code_says_nothing(own_app: App) -> None:
    with own_app.app_context():
        assert difference_of_time() == ""
    checks = own_app.test_client().get("/health/ready").json["checks"]
    assert "warning" not in checks["database"]


def test_a_database_that_is_behind_says_so(own_app: App) -> None:
    set_revision(own_app, "0001")
    checks = own_app.test_client().get("/health/ready").json["checks"]
    told = checks["database"]["warning"]
    assert told.startswith("the database is at migration 0001, and this code at 0")
    assert told.endswith(": run flask db upgrade")


def test_a_database_that_is_ahead_says_so_and_is_not_upgraded(own_app: App) -> None:
    set_revision(own_app, "9999")
    checks = own_app.test_client().get("/health/ready").json["checks"]
    assert "update the code" in checks["database"]["warning"]
    with own_app.app_context(), pytest.raises(ConfigError, match="migration 9999"):
        SqlStore().upgrade()


def test_the_log_of_a_500_tells_the_cause(
    own_app: App, caplog: pytest.LogCaptureFixture
) -> None:
    set_revision(own_app, "0001")
    with own_app.app_context(), sql.engine.begin() as connection:
        connection.execute(text("ALTER TABLE catalog_movies RENAME TO gone_movies"))
    with caplog.at_level(logging.ERROR):
        own_app.test_client().get("/catalog/movies/", expect=500)
    (record,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert "run flask db upgrade" in record.getMessage()
