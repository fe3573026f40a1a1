"""Mails: what a request sends after its commit, by a real mail server."""

import email
import email.header
import smtplib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from email import policy
from email.header import make_header
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from flask import Blueprint
from jinja2 import TemplateNotFound, UndefinedError

from myapp import create_app
from myapp.core.errors.problem import Problem
from myapp.core.errors.startup import ConfigError
from myapp.core.http.app import App
from myapp.core.jobs import queue
from myapp.core.mail import kept_mails, send_mail
from myapp.core.mail.send import sender_of
from myapp.core.mail.smtp import parse_smtp_url
from myapp.core.mail.template import render_mail
from myapp.core.rest.resource import Resource
from myapp.core.stores.redis.store import RedisStore
from myapp.core.stores.sql.store import SqlStore
from myapp.core.stores.store import close_stores
from myapp.core.stores.transaction import in_transaction
from myapp.core.testing.jobs import run_jobs
from myapp.core.testing.planted import PlantedNote, kept_logging, plant
from myapp.core.testing.server import free_port

ADA, BOB = "ada@mail.example", "bob@mail.example"
TEXT = """{% set subject %}
Hello {{ name }}
{% endset %}

Dear {{ name }}, you & I.
"""
HTML = "<p>Dear <b>{{ name }}</b>, you &amp; I.</p>"


class Sink:
    """A mail server that keeps what it gets.

    :ivar replies: what it says to the next mails instead of taking them: ``MAIL``,
        ``RCPT`` or ``DATA``, and the reply.
    :ivar quit: its reply to QUIT.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.logins: list[bytes] = []
        self.replies: dict[str, str] = {}
        self.quit = "221 Bye"

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        envelope.mail_from = address
        return self.replies.get("MAIL", "250 OK")

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.replies.get("RCPT", "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        reply = self.replies.get("DATA", "250 OK")
        if reply.startswith("2"):
            message: Any = email.message_from_bytes(
                envelope.content, policy=policy.default
            )
            assert message["To"] == ", ".join(envelope.rcpt_tos)
            self.mails.append(message)
            self.raw.append(envelope.content.replace(b"\r\n", b"\n"))
        if self.replies.get("LOST"):
            server.transport.abort()
        return reply

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:
        return self.quit


@pytest.fixture
def sink(mailing: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    """A mail server, which the application uses."""
    found = Sink()
    port = free_port()
    controller = Controller(found, hostname="127.0.0.1", port=port)
    controller.start()
    monkeypatch.setitem(mailing.config, "SMTP_URL", f"smtp://127.0.0.1:{port}")
    yield found
    controller.stop()


@pytest.fixture
def mailing(own_app: App, tmp_path: Path) -> App:
    """An application with templates of mails, and a route that sends one."""
    folder = tmp_path / "templates" / "planted"
    folder.mkdir(parents=True)
    folder.joinpath("hello.txt").write_text(TEXT)
    folder.joinpath("hello.html").write_text(HTML)
    folder.joinpath("bare.txt").write_text("No subject.")

    class Greet(Resource):
        """Sends a mail."""

        def post(self) -> Any:
            """Write a note, and send a mail to two."""
            PlantedNote.create({"text": "greeted"})
            send_mail([ADA, BOB, ADA], "planted/hello", name="Zoë")
            return {}

    app = plant(own_app)
    place = str(folder.parent)
    app.register_blueprint(Blueprint("templates", __name__, template_folder=place))
    Greet.access = "public"
    app.add_url_rule("/greet", view_func=Greet.as_view("greet"))
    return app


def send(app: App, to: Any = ADA, name: Any = "Zoë") -> Any:
    """Send a mail outside of requests; return its job."""
    with app.app_context():
        return in_transaction(lambda: send_mail(to, "planted/hello", name=name))[0]


def row_of_mail(app: App) -> Any:
    """The row of the only job."""
    with app.app_context():
        (found,) = queue.listed(9, None, None)
        return found


def test_a_mail_goes_to_each_address_after_the_commit(mailing: App, sink: Sink) -> None:
    mailing.test_client().post("/greet", expect=200)
    assert sink.mails == []
    run_jobs(mailing)
    run_jobs(mailing)
    assert sorted(mail["To"] for mail in sink.mails) == [ADA, BOB]
    mail = sink.mails[0]
    assert mail["From"] == "myapp@localhost" and mail["Subject"] == "Hello Zoë"
    assert mail["Auto-Submitted"] == "auto-generated" and mail["Date"]
    assert mail.get_content_type() == "multipart/alternative"
    text, html = mail.iter_parts()
    assert text.get_content().strip() == "Dear Zoë, you & I."
    assert html.get_content().strip() == "<p>Dear <b>Zoë</b>, you &amp; I.</p>"
    assert len({one["Message-ID"] for one in sink.mails}) == 2


def test_a_request_that_fails_sends_no_mail(mailing: App, sink: Sink) -> None:
    client = mailing.test_client()
    client.post("/greet", expect=200)
    client.post("/greet", expect=409)
    run_jobs(mailing)
    assert len(sink.mails) == 2


def test_html_is_escaped_and_text_is_not(mailing: App, sink: Sink) -> None:
    send(mailing, name="<i>&")
    run_jobs(mailing)
    text, html = sink.mails[0].iter_parts()
    assert text.get_content().strip() == "Dear <i>&, you & I."
    assert "<b>&lt;i&gt;&amp;</b>" in html.get_content()
    assert sink.mails[0]["Subject"] == "Hello <i>&"


@pytest.mark.parametrize(
    "value", ["a\r\nBcc: eve@mail.example", "a\x85b\u2028c", "a\n"]
)
def test_a_value_makes_no_header(mailing: App, sink: Sink, value: str) -> None:
    send(mailing, name=value)
    run_jobs(mailing)
    (mail,) = sink.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == " ".join(["Hello", *value.split()])


HIDDEN = "a =?utf-8?q?b=0d=0aBcc:_eve=40mail.example=0d=0a=0d=0aBody?= c"


@pytest.mark.parametrize(
    "name",
    [
        *(HIDDEN, "=?utf-8?b?DQpCY2M6IGVAZS5leA==?=", "a =?utf-8?q?X?= b", "x" * 300),
        *(" ".join(["long"] * 60), " ".join(["größer"] * 40)),
    ],
)
def test_a_subject_is_what_it_says(mailing: App, sink: Sink, name: str) -> None:
    send(mailing, name=name)
    run_jobs(mailing)
    (mail,) = sink.mails
    assert mail["Bcc"] is None
    found = decode_header(sink.raw[0].partition(b"\n\n")[0], "Subject")
    assert found == f"Hello {name}"
    assert "Dear" in list(mail.iter_parts())[0].get_content()


def decode_header(head: bytes, name: str) -> str:
    """A header as a reader of mails shows it."""
    found = email.message_from_bytes(head, policy=policy.compat32)[name]
    # A line break before a blank is a fold (RFC 5322 section 2.2.3).
    return str(make_header(email.header.decode_header(found.replace("\n ", " "))))


NO_ADDRESSES = [
    *("", "ada", "ada@localhost", "@mail.example", "ada@", "a b@mail.example"),
    *("ada@mail.example\r\nBcc: eve@mail.example", "ada@mail.example\n"),
    *("ada@mail.example,eve@mail.example", "Ada <ada@mail.example>"),
    *('"a b"@mail.example', "ada@[127.0.0.1]", "zoë@mail.example"),
    f"{'a' * 250}@mail.example",
]


def test_what_is_no_address_is_refused(mailing: App) -> None:
    for address in NO_ADDRESSES:
        with pytest.raises(Problem) as told:
            send(mailing, [ADA, address])
        assert told.value.code == 422
    with mailing.app_context():
        assert queue.listed(9, None, None) == []


def test_the_domain_of_an_address_is_ascii(mailing: App, sink: Sink) -> None:
    send(mailing, ["Ada@BÜCHER.example", "Ada@xn--bcher-kva.example"])
    run_jobs(mailing)
    assert [mail["To"] for mail in sink.mails] == ["Ada@xn--bcher-kva.example"]


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("MAIL", "451 busy"),
        ("RCPT", "450 grey"),
        ("DATA", "452 full"),
        ("LOST", "250 OK"),
    ],
)
def test_a_mail_is_sent_again_until_it_is_taken(
    mailing: App, sink: Sink, caplog: Any, step: str, reply: str
) -> None:
    send(mailing)
    sink.replies = {step: f"{reply} {ADA}"}
    run_jobs(mailing)
    assert row_of_mail(mailing).state == "queued"
    assert "mail" in caplog.text and ADA not in caplog.text
    sink.replies = {}
    run_jobs(mailing)
    run_jobs(mailing)
    assert row_of_mail(mailing).state == "succeeded"
    # The server took the one whose reply was lost, too; it is the same mail.
    assert len(sink.mails) == 1 + (step == "LOST")
    assert len({mail["Message-ID"] for mail in sink.mails}) == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_a_mail_that_is_refused_for_good_has_failed(
    mailing: App, sink: Sink, step: str
) -> None:
    send(mailing)
    sink.replies = {step: "550 no such user"}
    run_jobs(mailing)
    row = row_of_mail(mailing)
    assert (row.state, row.problem["status"]) == ("failed", 422)
    assert row.problem["detail"] == "The mail server said: 550 no such user"


@pytest.mark.parametrize("reply", ["421 closing", "nonsense"])
def test_an_error_after_the_mail_sends_it_no_second_time(
    mailing: App, sink: Sink, reply: str
) -> None:
    sink.quit = reply
    send(mailing)
    run_jobs(mailing)
    assert row_of_mail(mailing).state == "succeeded"
    assert len(sink.mails) == 1


@pytest.mark.parametrize("greeting", ["554 no service", "nonsense"])
def test_a_mail_server_that_refuses_us_refuses_no_mail(
    mailing: App, monkeypatch: pytest.MonkeyPatch, greeting: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"smtp://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setitem(mailing.config, "SMTP_URL", url)
        send(mailing)

        def refuse() -> None:
            connection = server.accept()[0]
            connection.sendall(f"{greeting}\r\n".encode())
            connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        run_jobs(mailing)
        thread.join()
    row = row_of_mail(mailing)
    assert (row.state, row.problem["status"]) == ("queued", 503)


def test_a_mail_waits_while_the_mail_server_is_down(
    mailing: App, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = mailing.config["SMTP_URL"]
    monkeypatch.setitem(mailing.config, "SMTP_URL", "smtp://127.0.0.1:1")
    send(mailing)
    run_jobs(mailing)
    monkeypatch.setitem(mailing.config, "SMTP_URL", url)
    run_jobs(mailing)
    assert len(sink.mails) == 1


def test_a_production_without_a_mail_server_keeps_its_mails(
    mailing: App, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = mailing.config["SMTP_URL"]
    monkeypatch.setitem(mailing.config, "ENV", "production")
    monkeypatch.setitem(mailing.config, "SMTP_URL", "")
    send(mailing)
    run_jobs(mailing)
    with mailing.app_context():
        assert kept_mails() == []
    monkeypatch.setitem(mailing.config, "SMTP_URL", url)
    run_jobs(mailing)
    assert len(sink.mails) == 1


def test_templates_say_what_is_wrong(mailing: App) -> None:
    with mailing.app_context():
        with pytest.raises(TemplateNotFound, match="planted/gone.txt"):
            render_mail("planted/gone", {})
        with pytest.raises(UndefinedError, match="'name' is undefined"):
            render_mail("planted/hello", {})
        with pytest.raises(LookupError, match="sets no subject"):
            render_mail("planted/bare", {})


# With TLS from the start, aiosmtpd does not know that there is TLS.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_a_mail_is_sent_encrypted_and_logged_in(
    mailing: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    pair = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1".split()
    subprocess.run([*command, *subject, *pair], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    sink = Sink()

    def log_in(*arguments: Any) -> AuthResult:
        sink.logins.append(arguments[-1].password)
        return AuthResult(success=True)

    options: dict[str, Any] = {"authenticator": log_in, "auth_required": True}
    if scheme == "smtps":
        options |= {"ssl_context": tls, "auth_require_tls": False}
    else:
        options |= {"tls_context": tls, "require_starttls": True}
    port = free_port()
    controller = Controller(sink, hostname="localhost", port=port, **options)
    controller.start()
    url = f"{scheme}://ada:p%40ss@localhost:{port}"
    monkeypatch.setitem(mailing.config, "SMTP_URL", url)
    send(mailing)
    # The certificate of a stranger.
    run_jobs(mailing)
    assert sink.mails == sink.logins == []
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate"))
    run_jobs(mailing)
    controller.stop()
    assert len(sink.mails) == 1 and sink.logins == [b"p@ss"]


WRONG_SETTINGS: list[tuple[dict[str, str], str]] = [
    ({"SMTP_URL": "http://mail.example"}, "SMTP_URL takes smtp://"),
    ({"SMTP_URL": "mail.example:25"}, "SMTP_URL takes smtp://"),
    ({"SMTP_URL": "smtp://:secret@"}, "SMTP_URL takes smtp://"),
    ({"SMTP_URL": "smtp://mail.example:port"}, "SMTP_URL takes smtp://"),
    ({"SMTP_URL": "smtp://mail.example", "MAIL_FROM": ""}, "MAIL_FROM is ''"),
    ({"MAIL_FROM": "films"}, "MAIL_FROM is 'films'"),
    ({"SMTP_URL": "smtp://mail.example:0"}, "SMTP_URL takes smtp://"),
    ({"SMTP_URL": "smtp://mail.example#more"}, "SMTP_URL takes smtp://"),
    ({"SMTP_URL": "smtp://:secret@mail.example"}, "SMTP_URL takes smtp://"),
    ({"MAIL_FROM": "a@b.example, c@d.example"}, "MAIL_FROM is"),
    ({"MAIL_FROM": "a@b.example\n"}, "MAIL_FROM is"),
    ({"MAIL_FROM": "A <a@b.example> more"}, "MAIL_FROM is"),
    ({"MAIL_FROM": "a@bücher.example"}, "MAIL_FROM is"),
    ({"MAIL_FROM": "a@b.example\nBcc: c@d.example"}, "MAIL_FROM is"),
]


def test_wrong_settings_are_refused(own_app: App) -> None:
    names = (SqlStore.setting, RedisStore.setting)
    stores = {name: own_app.config[name] for name in names}
    for settings, told in WRONG_SETTINGS:
        with pytest.raises(ConfigError, match=told) as error:
            create_app({**stores, **settings})
        assert "secret" not in str(error.value)


def test_the_settings_of_a_mail_server() -> None:
    assert parse_smtp_url("smtps://a%40b:c@mail.example")[1:] == (
        *("mail.example", 465),
        *("a@b", "c"),
    )
    assert parse_smtp_url("smtp://[::1]/").port == smtplib.SMTP_PORT
    assert parse_smtp_url("smtp+starttls://mail.example").port == 587
    for text in ("Films <films@mail.example>", '"Zoë, Inc." <films@mail.example>'):
        assert str(sender_of(text)) == text
        assert sender_of(text).addr_spec == "films@mail.example"


def test_the_development_server_shows_mails(
    mailing: App, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = (SqlStore.setting, RedisStore.setting)
    settings = {name: mailing.config[name] for name in stores}
    with kept_logging():
        app = create_app({**settings, "ENV": "development"})
    app.register_blueprint(mailing.blueprints["templates"])
    get = app.test_client().get
    as_page = {"headers": {"Accept": "text/html"}}
    assert "There are none yet." in get("/dev/mail", **as_page).text
    assert 'href="/dev/mail"' in get("/", **as_page).text
    assert get("/dev/mail").json == {"items": []}
    send(app, name="<script>alert(1)</script>")
    run_jobs(app)
    assert "Subject: Hello <script>" in capsys.readouterr().err
    (mail,) = get("/dev/mail").json["items"]
    assert mail["to"] == ADA and mail["text"].startswith("Dear <script>")
    page = get("/dev/mail", **as_page).text
    assert "<script>" not in page and "Dear &lt;script&gt;" in page
    assert f'href="/dev/mail/{mail["id"]}"' in page
    shown = get(f"/dev/mail/{mail['id']}")
    assert shown.text == mail["html"]
    (rules,) = shown.headers.getlist("Content-Security-Policy")
    assert rules.startswith("sandbox; default-src 'none'")
    assert get("/dev/mail/gone").status_code == 404
    close_stores(app)


def test_only_the_development_server_shows_mails(mailing: App) -> None:
    send(mailing)
    run_jobs(mailing)
    mailing.test_client().get("/dev/mail", expect=404)
    with mailing.app_context():
        (mail,) = kept_mails()
    assert (mail["to"], mail["subject"]) == (ADA, "Hello Zoë")
