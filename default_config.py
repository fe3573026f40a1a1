"""Every setting of the application, once, with its default and its meaning.

``MYAPP_ENV`` selects a class. ``instance/config.py`` overrides the class, and the
environment variables ``MYAPP_<NAME>`` (JSON values) override both. Nothing here reads
a file or the environment.
"""


class Config:
    """The defaults, unless a class below or the deployment overrides them."""

    # In every environment, a bug is logged and its response is a problem document.
    PROPAGATE_EXCEPTIONS = False
    # The secret key that signs page cursors; in production at least 32 characters.
    SECRET_KEY = ""
    # Former secret keys: cursors that they signed are still taken.
    SECRET_KEY_FALLBACKS: list[str] = []
    # Features to mount: "all", or names as in myapp/features.py, comma-separated.
    ENABLED_FEATURES: str | list[str] = "all"
    # SQLAlchemy URL; empty means SQLite in the instance folder.
    SQLALCHEMY_DATABASE_URI = ""
    # Keyword arguments for sqlalchemy.create_engine, such as {"pool_size": 5}.
    SQLALCHEMY_ENGINE_OPTIONS: dict[str, object] = {}
    # SQLAlchemy URLs of replicas of PostgreSQL, which answer GET and HEAD requests.
    SQLALCHEMY_READ_URIS: list[str] = []
    # Seconds that a replica may be behind; one that is further behind is not asked.
    REPLICA_MAX_LAG = 2.0
    # Limits of PostgreSQL, MySQL and MariaDB inside a request, in seconds; each ends in
    # a 503. Migrations and commands have none. Together they are to stay below harakiri
    # in myapp.ini. First: how long it takes to connect.
    DATABASE_CONNECT_TIMEOUT = 2.0
    # How long a statement runs, and a transaction waits for its next statement.
    DATABASE_STATEMENT_TIMEOUT = 5.0
    # How long a statement waits for the lock of another transaction.
    DATABASE_LOCK_TIMEOUT = 2.0
    # How long a request waits for a connection of the pool, on each engine.
    DATABASE_POOL_TIMEOUT = 2.0
    # Seconds that SQLite waits for another writer before it gives up.
    SQLITE_BUSY_TIMEOUT = 5.0
    # Redis URL (redis, rediss or unix); redis+cluster://host:port,host:port is a
    # cluster; empty means that a redis-server is started.
    REDIS_URL = ""
    # Seconds to wait for a connection to Redis, and for each of its replies.
    REDIS_TIMEOUT = 0.5
    # How many proxies set X-Forwarded-For, -Proto and -Host before a request is here;
    # with 0 these headers are not believed.
    TRUSTED_PROXIES = 0
    # The name of the release that runs, such as a time and a commit; sent as X-Release.
    RELEASE = ""
    # The roles of users, from the lowest to the highest: each may do what a lower one
    # may. A user with the first one cannot sign in.
    ROLES = ["disabled", "readonly", "editor", "admin", "superuser"]
    # How often one client, by its address, may send requests: {"*": "600/60"} lets it
    # send 600 in 60 seconds to all routes, and "catalog": "100/60" 100 to a feature.
    RATE_LIMITS: dict[str, str] = {}
    # Largest request body, in bytes; a larger one is a 413.
    MAX_CONTENT_LENGTH = 1024 * 1024
    # Origins that browsers may call from, such as ["https://app.example"].
    CORS_ORIGINS: list[str] = []
    # The format of logs: "json" for machines, "text" for people.
    LOG_FORMAT = "json"
    # Lowest level that is logged; requests are INFO.
    LOG_LEVEL = "INFO"
    # Whether each SQL statement is logged with its time, and without its values.
    LOG_SQL = False
    # A request that takes longer than this many seconds is logged as a warning.
    SLOW_REQUEST_SECONDS = 1.0
    # The token that Prometheus sends for /metrics (Authorization: Bearer); empty means
    # that nothing is counted, and that there is no /metrics.
    METRICS_TOKEN = ""
    # Seconds that a client is asked to wait after a 503 (Retry-After).
    RETRY_AFTER = 1
    # The OpenTelemetry collector that gets traces, such as http://127.0.0.1:4318; empty
    # means that there are none.
    OTLP_ENDPOINT = ""
    # The share of requests that begin a trace; one that is part of a trace follows it.
    TRACES_SAMPLED = 0.1
    # The project in Sentry that gets each bug (its DSN); empty means that none does.
    SENTRY_DSN = ""
    # Where backups are: a folder, or s3://bucket/prefix; empty means instance/backups.
    BACKUP_URL = ""
    # The key of age that backups are encrypted with, public (age1...) or secret; empty
    # means that they are not. `flask backup new-key` makes one.
    BACKUP_KEY = ""
    # How many backups are kept; 0 means all.
    BACKUP_KEEP = 14
    # The broker of the jobs, a URL as Celery takes it, such as amqp://name@host// of
    # RabbitMQ; empty means REDIS_URL.
    JOBS_BROKER_URL = ""
    # The name of the queue of the broker; applications that share a broker must not
    # share it.
    JOBS_QUEUE = "myapp-jobs"
    # Whether a request runs its jobs itself, after its commit: for tests of features,
    # and off in production.
    JOBS_EAGER = False
    # Seconds that a job is kept after its end; one that has failed is kept 90 days.
    JOBS_KEPT = 7 * 24 * 3600
    # The mail server: smtp:// without encryption, as for one on this machine,
    # smtp+starttls:// or smtps://, such as smtps://name:password@mail.example; empty
    # means that mails wait in production, and are shown at /dev/mail elsewhere.
    SMTP_URL = ""
    # Where users reach this server, such as https://films.example, for the links in
    # mails; without it they have none. `make run` sets it.
    PUBLIC_URL = ""
    # The sender of mails, such as "Films <films@mail.example>".
    MAIL_FROM = ""
    # Seconds that the kept response of an Idempotency-Key is stored.
    IDEMPOTENCY_TTL = 24 * 3600


class ProductionConfig(Config):
    """Refuses to start with a weak secret, a default password or debug mode."""


class DevelopmentConfig(Config):
    """For a laptop: readable logs, any local origin, a public key as the secret."""

    DEBUG = True
    SECRET_KEY = "development-only"
    LOG_FORMAT = "text"
    MAIL_FROM = "myapp@localhost"
    CORS_ORIGINS = [r"http://(localhost|127\.0\.0\.1)(:\d+)?\Z"]


class TestingConfig(Config):
    """For the test suite. Its fixtures set the stores. A busy machine reaches no time
    limit here; the tests of the limits set their own."""

    TESTING = True
    DATABASE_CONNECT_TIMEOUT = 30.0
    DATABASE_STATEMENT_TIMEOUT = 30.0
    DATABASE_LOCK_TIMEOUT = 30.0
    DATABASE_POOL_TIMEOUT = 30.0
    SQLITE_BUSY_TIMEOUT = 30.0
    REDIS_TIMEOUT = 10.0
    SECRET_KEY = "testing-only"
    SQLALCHEMY_DATABASE_URI = "sqlite:////nonexistent/set-by-the-fixtures.db"
    REDIS_URL = "unix:///nonexistent/set-by-the-fixtures.sock"
    LOG_LEVEL = "WARNING"
    MAIL_FROM = "myapp@localhost"
