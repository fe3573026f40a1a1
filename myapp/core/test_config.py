"""The configuration: the precedence of settings, and refusals before the start."""

import logging
import os
import string
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from myapp import create_app
from myapp.core.errors.startup import ConfigError
from myapp.core.http.app import App
from myapp.core.stores.sql.engine import BEGIN, engine_options
from myapp.core.stores.store import close_stores

ROOT = Path(__file__).parents[2]
STRONG = string.ascii_letters
PASSWORD = "s3cret-canary"
Build = Callable[..., App]
Settings = dict[str, Any]


@pytest.fixture(autouse=True)
def instance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A temporary instance folder; the logging of this process is kept."""
    monkeypatch.setenv("MYAPP_INSTANCE_PATH", str(tmp_path))
    loggers = (logging.getLogger(), logging.getLogger("myapp"))
    saved = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield tmp_path
    for logger, level, handlers in saved:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture
def stores(redis_url: str, tmp_path: Path) -> Settings:
    """Settings with the URLs of both stores."""
    database = f"sqlite:///{tmp_path / 'test.db'}"
    return {"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": redis_url}


@pytest.fixture
def build(stores: Settings) -> Iterator[Build]:
    """A function that builds an application from settings, by default in production."""
    built = []

    def build(**settings: Any) -> App:
        safe = {"ENV": "production", "SECRET_KEY": STRONG, "ENABLED_FEATURES": []}
        built.append(create_app({**safe, **stores, **settings}))
        return built[-1]

    yield build
    for app in built:
        close_stores(app)


def refusal(build: Build, **settings: Any) -> str:
    """The message, of one line, of a refused start."""
    with pytest.raises(ConfigError) as raised:
        build(**settings)
    text = str(raised.value)
    assert text and "\n" not in text
    return text


def test_class_then_instance_file_then_environment_later_wins(
    monkeypatch: pytest.MonkeyPatch, instance: Path, stores: Settings
) -> None:
    monkeypatch.setenv("MYAPP_ENV", "testing")
    for name, value in stores.items():
        monkeypatch.setenv(f"MYAPP_{name}", value)
    assert create_app().config["SECRET_KEY"] == "testing-only"
    instance.joinpath("config.py").write_text("SECRET_KEY = 'file'\nRETRY_AFTER = 7\n")
    app = create_app()
    assert (app.config["SECRET_KEY"], app.config["RETRY_AFTER"]) == ("file", 7)
    monkeypatch.setenv("MYAPP_RETRY_AFTER", "9")
    app = create_app()
    assert (app.config["SECRET_KEY"], app.config["RETRY_AFTER"]) == ("file", 9)


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("A = 1\nSECRET_KEY = 'hidden-in-it\n", "SyntaxError", 2),
        ("A = 1\n\nREDIS_URL = hidden('x')\n", "NameError", 3),
    ],
)
def test_a_file_that_is_no_python_is_told_without_its_text(
    instance: Path, text: str, kind: str, line: int
) -> None:
    instance.joinpath("config.py").write_text(text)
    with pytest.raises(ConfigError, match=f"{kind} in line {line}$") as caught:
        create_app()
    shown = "".join(traceback.format_exception(caught.value))
    assert "hidden" not in shown


def test_test_config_takes_the_place_of_the_instance_file(
    monkeypatch: pytest.MonkeyPatch, instance: Path, stores: Settings
) -> None:
    file = "SECRET_KEY = 'file'\nRETRY_AFTER = 7\nCART_TTL = 7\n"
    instance.joinpath("config.py").write_text(file)
    monkeypatch.setenv("MYAPP_CART_TTL", "9")
    app = create_app({**stores, "RETRY_AFTER": 8, "CART_TTL": 8})
    assert app.config["ENV"] == "testing"
    assert app.config["SECRET_KEY"] == "testing-only"
    assert (app.config["RETRY_AFTER"], app.config["CART_TTL"]) == (8, 9)


def test_values_of_the_environment_are_json_and_else_text(
    monkeypatch: pytest.MonkeyPatch, stores: Settings
) -> None:
    monkeypatch.setenv("MYAPP_CORS_ORIGINS", '["https://app.example"]')
    monkeypatch.setenv("MYAPP_SQLALCHEMY_ENGINE_OPTIONS__pool_pre_ping", "true")
    monkeypatch.setenv("MYAPP_LOG_FORMAT", "text")
    app = create_app(stores)
    assert app.config["CORS_ORIGINS"] == ["https://app.example"]
    assert app.config["SQLALCHEMY_ENGINE_OPTIONS"]["pool_pre_ping"] is True
    assert app.config["LOG_FORMAT"] == "text"


def test_production_is_what_runs_when_nobody_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, stores: Settings, build: Build
) -> None:
    for name, value in {**stores, "SECRET_KEY": STRONG}.items():
        monkeypatch.setenv(f"MYAPP_{name}", value)
    app = create_app()
    assert app.config["ENV"] == "production"
    assert not app.debug and not app.testing
    assert app.config["LOG_FORMAT"] == "json"
    assert app.config["CORS_ORIGINS"] == []


@pytest.mark.parametrize("name", ["prod", "Production", "produktion "])
def test_an_unknown_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch, build: Build, name: str
) -> None:
    monkeypatch.setenv("MYAPP_ENV", name)
    text = refusal(build, ENV=None)
    assert text == (
        f"MYAPP_ENV is {name!r}; it must be one of: production, development, testing"
    )


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY must have at least 32 characters"),
        ({"SECRET_KEY": STRONG[:31]}, "SECRET_KEY must have at least 32 characters"),
        ({"SECRET_KEY": "abc" * 20}, "SECRET_KEY repeats itself"),
        ({"DEBUG": True}, "DEBUG and TESTING must be off in production"),
        ({"TESTING": True}, "DEBUG and TESTING must be off in production"),
        ({"REDIS_URL": "redis://:Redis@db:6379"}, "REDIS_URL carries a default"),
        ({"REDIS_URL": "redis://app:app@db"}, "REDIS_URL carries a default password"),
    ],
    ids=str,
)
def test_production_refuses_what_development_may_do(
    build: Build, settings: Settings, line: str
) -> None:
    text = refusal(build, **settings)
    assert text.startswith(line)
    for value in settings.values():
        assert not isinstance(value, str) or not value or value not in text
    build(ENV="development", **settings)


@pytest.mark.parametrize("password", ["postgres", "root", "Admin", "changeme", "app"])
@pytest.mark.parametrize("driver", ["postgresql+psycopg", "mysql+pymysql"])
def test_production_refuses_a_default_password_of_the_database(
    build: Build, driver: str, password: str
) -> None:
    url = f"{driver}://app:{password}@db.example/myapp"
    text = refusal(build, SQLALCHEMY_DATABASE_URI=url)
    assert text == "SQLALCHEMY_DATABASE_URI carries a default password"


def test_the_debug_switch_of_flask_is_refused_in_production_too(
    monkeypatch: pytest.MonkeyPatch, build: Build
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert refusal(build) == "DEBUG and TESTING must be off in production"


@pytest.mark.parametrize("env", ["production", "development", "testing"])
@pytest.mark.parametrize(
    "name", ["SQLALCHEMY_DATABASE_URI", "REDIS_URL"], ids=["database", "redis"]
)
@pytest.mark.parametrize(
    "url", [f"db:{PASSWORD}", f"nosuch://user:{PASSWORD}@db/name"], ids=["text", "kind"]
)
def test_a_url_that_cannot_be_read_is_refused_without_showing_it(
    build: Build, env: str, name: str, url: str
) -> None:
    text = refusal(build, ENV=env, **{name: url})
    assert text.startswith(name)
    assert PASSWORD not in text


@pytest.mark.parametrize("name", ["SQLALCHEMY_DATABASE_URI", "REDIS_URL"])
def test_an_instance_folder_that_a_store_needs_must_be_writable(
    monkeypatch: pytest.MonkeyPatch, instance: Path, build: Build, name: str
) -> None:
    file = instance / "file"
    file.touch()
    # The folder is below a file, because root may write into any folder.
    monkeypatch.setenv("MYAPP_INSTANCE_PATH", str(file / "instance"))
    build()
    text = refusal(build, **{name: ""})
    assert text == (
        "the folder of the data cannot be written: Not a directory: "
        f"{file / 'instance'}"
    )


def features_of(app: App) -> set[str]:
    """The features that have a route in an application."""
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    return {name for name in app.blueprints if f"{name}.swagger" in endpoints}


def test_only_features_that_are_named_are_mounted(build: Build) -> None:
    every = sorted(features_of(build(ENABLED_FEATURES="all")))
    assert every
    for chosen in (every[:1], every[-2:]):
        assert features_of(build(ENABLED_FEATURES=chosen)) == set(chosen)
        assert features_of(build(ENABLED_FEATURES=", ".join(chosen))) == set(chosen)
    assert features_of(build(ENABLED_FEATURES=[])) == set()


@pytest.mark.parametrize("wanted", ["nosuch", ["nosuch"]], ids=["text", "list"])
def test_an_unknown_feature_is_refused(build: Build, wanted: Any) -> None:
    text = refusal(build, ENABLED_FEATURES=wanted)
    assert text == "ENABLED_FEATURES names unknown features: nosuch"


def test_a_list_of_features_may_end_in_a_comma_but_must_be_one(build: Build) -> None:
    every = sorted(features_of(build(ENABLED_FEATURES="all")))
    assert features_of(build(ENABLED_FEATURES=f"{every[0]},")) == {every[0]}
    text = "ENABLED_FEATURES is 5; it takes text or a list of texts"
    assert refusal(build, ENABLED_FEATURES=5) == text


def test_an_unknown_log_level_is_refused(build: Build) -> None:
    text = refusal(build, LOG_LEVEL="loud")
    assert text.startswith("LOG_LEVEL must be one of: CRITICAL")


def test_the_entry_point_says_one_line_and_exits_with_1(instance: Path) -> None:
    command = [sys.executable, "-c", "import wsgi"]
    env = {name: value for name, value in os.environ.items() if name[:6] != "FLASK_"}
    env["MYAPP_SECRET_KEY"] = "short-canary"
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("myapp: SECRET_KEY must have at least 32 characters")
    assert ended.stderr.count("\n") == 1
    assert "canary" not in ended.stderr


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"SQLALCHEMY_ENGINE_OPTIONS": {"isolation_level": "SERIALIZABLE"}},
            "SQLALCHEMY_ENGINE_OPTIONS must not set isolation_level",
        ),
        (
            {"SQLALCHEMY_DATABASE_URI": "mysql+pymysql://db.example/myapp"},
            "SQLALCHEMY_DATABASE_URI names mysql; use one of: sqlite, postgresql",
        ),
        (
            {"SQLALCHEMY_ENGINE_OPTIONS": {"pool_sise": 5}},
            "SQLALCHEMY_ENGINE_OPTIONS are refused: Invalid argument(s) 'pool_sise'",
        ),
        ({"CORS_ORIGINS": ["("]}, "CORS_ORIGINS: '(': missing )"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT must be one of: json, text"),
    ],
    ids=str,
)
def test_what_contradicts_the_application_is_refused(
    monkeypatch: pytest.MonkeyPatch, build: Build, settings: Settings, line: str
) -> None:
    # A dialect whose driver is installed, and that is not known.
    monkeypatch.delitem(BEGIN, "mysql")
    assert refusal(build, ENV="development", **settings).startswith(line)


def test_connect_args_of_the_configuration_keep_the_time_zone() -> None:
    app = create_app({"ENV": "testing"})
    given = {"connect_timeout": 3, "options": "-c timezone=Asia/Tokyo -c jit=off"}
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": given, "pool_size": 2}
    options = engine_options(app, "postgresql+psycopg://db.example/myapp")
    assert options["pool_size"] == 2 and options["isolation_level"] == "AUTOCOMMIT"
    merged = "-c timezone=Asia/Tokyo -c jit=off -c timezone=UTC"
    assert options["connect_args"] == {"connect_timeout": 3, "options": merged}


NUMBER = f"to {2**31 - 1}"
SECONDS = f"a number above 0 {NUMBER}"
WRONG = [
    ("MAX_CONTENT_LENGTH", "10MB", f"a whole number above 0 {NUMBER}"),
    ("MAX_CONTENT_LENGTH", 0, f"a whole number above 0 {NUMBER}"),
    ("RETRY_AFTER", 1.5, f"a whole number from 0 {NUMBER}"),
    ("RETRY_AFTER", -1, f"a whole number from 0 {NUMBER}"),
    ("IDEMPOTENCY_TTL", "1d", SECONDS.replace("a n", "a whole n")),
    ("IDEMPOTENCY_TTL", 10**18, SECONDS.replace("a n", "a whole n")),
    ("REDIS_TIMEOUT", "fast", SECONDS),
    ("REDIS_TIMEOUT", True, SECONDS),
    ("DATABASE_LOCK_TIMEOUT", 0, SECONDS),
    ("SLOW_REQUEST_SECONDS", "x", f"a number from 0 {NUMBER}"),
    ("SLOW_REQUEST_SECONDS", float("nan"), f"a number from 0 {NUMBER}"),
    ("SLOW_REQUEST_SECONDS", float("inf"), f"a number from 0 {NUMBER}"),
    ("CART_TTL", "week", f"a number from 0 {NUMBER}"),
    ("PROPAGATE_EXCEPTIONS", "yes", "true or false"),
    ("CORS_ORIGINS", "*", "a list of texts"),
    ("CORS_ORIGINS", [1], "a list of texts"),
    ("LOG_LEVEL", 10, "text"),
]


@pytest.mark.parametrize(("name", "value", "takes"), WRONG)
def test_a_value_of_another_type_is_refused_with_what_is_taken(
    build: Build, name: str, value: Any, takes: str
) -> None:
    text = refusal(build, ENABLED_FEATURES="all", **{name: value})
    assert text == f"{name} is {value!r}; it takes {takes}"


@pytest.mark.parametrize("name", ["SECRET_KEY_FALLBACKS", "SQLALCHEMY_ENGINE_OPTIONS"])
def test_a_value_that_may_be_a_secret_is_not_shown(build: Build, name: str) -> None:
    text = refusal(build, **{name: PASSWORD})
    assert text.startswith(f"{name} is a secret value; it takes ")
    assert PASSWORD not in text


@pytest.mark.parametrize("place", ["environment", "file", "test"])
@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("REDIS_URLL", "did you mean REDIS_URL? "),
        ("CART_TTLS", "did you mean CART_TTL? "),
        ("NOSUCH", ""),
    ],
)
def test_a_name_that_is_not_a_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    instance: Path,
    stores: Settings,
    place: str,
    name: str,
    near: str,
) -> None:
    given = dict(stores)
    if place == "environment":
        monkeypatch.setenv(f"MYAPP_{name}", "1")
    elif place == "test":
        given[name] = 1
    else:
        instance.joinpath("config.py").write_text(f"{name} = 1\n")
        monkeypatch.setenv("MYAPP_ENV", "testing")
    with pytest.raises(ConfigError) as raised:
        create_app(None if place == "file" else given)
    stated = f"MYAPP_{name}" if place == "environment" else name
    end = "The settings are in default_config.py"
    assert str(raised.value) == f"{stated} is not a setting; {near}{end}"


def test_a_text_in_the_environment_may_look_like_json(
    monkeypatch: pytest.MonkeyPatch, stores: Settings
) -> None:
    monkeypatch.setenv("MYAPP_SECRET_KEY", "1" * 40)
    monkeypatch.setenv("MYAPP_SQLALCHEMY_ECHO", "false")
    assert create_app(stores).config["SECRET_KEY"] == "1" * 40
