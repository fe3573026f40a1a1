"""``flask create-database``: on each server, once, with any name."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from myapp import create_app
from myapp.core.stores.sql.database import make_missing_database
from myapp.core.stores.sql.fixture import MADE_HERE, drop_database
from myapp.core.stores.sql.store import SqlStore

SETTING = SqlStore.setting


@pytest.mark.parametrize("odd", ["", "-with %s 'and' space"])
def test_a_missing_database_is_made_once(servers: list[str], odd: str) -> None:
    server = servers[0]
    if server == "sqlite":
        pytest.skip("its file is made by the first statement")
    url = make_url(server).set(database=f"{MADE_HERE}{secrets.token_hex(4)}{odd}")
    shown = url.render_as_string(hide_password=False)
    runner = create_app({SETTING: shown}).test_cli_runner()
    try:
        first, second = (runner.invoke(args=["create-database"]) for _ in range(2))
        assert first.output == f"the database {url.database} is made\n"
        assert second.output == f"the database {url.database} exists\n"
        engine = create_engine(url)
        with engine.connect() as connection:
            text_back = connection.execute(text("SELECT 'Ωß🎬'")).scalar()
        engine.dispose()
        assert text_back == "Ωß🎬"
    finally:
        drop_database(server, shown)


def test_two_at_once_make_it_once(servers: list[str]) -> None:
    server = servers[0]
    if server == "sqlite":
        pytest.skip("its file is made by the first statement")
    url = make_url(server).set(database=f"{MADE_HERE}{secrets.token_hex(4)}")
    try:
        with ThreadPoolExecutor(6) as pool:
            made = list(pool.map(make_missing_database, [url] * 6))
        assert made.count(True) == 1
    finally:
        drop_database(server, url.render_as_string(hide_password=False))


def test_a_server_that_cannot_be_reached_is_one_line() -> None:
    closed = "postgresql+psycopg://someone@127.0.0.1:1/nothing"
    ended = create_app({SETTING: closed}).test_cli_runner()
    result = ended.invoke(args=["create-database"])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {SETTING}: ")
    assert len(result.output.splitlines()) == 1
    assert "Traceback" not in result.output


def test_sqlite_needs_no_such_step() -> None:
    app = create_app({SETTING: "sqlite://"})
    result = app.test_cli_runner().invoke(args=["create-database"])
    assert (result.exit_code, result.output) == (0, "")
