"""Hands mails to a mail server, by SMTP (RFC 5321).

The standard library is enough: Flask-Mail and others would add a message class of their
own, and hide which errors may pass.
"""

import logging
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from myapp.core.errors.problem import Problem
from myapp.core.errors.startup import ConfigError

log = logging.getLogger("myapp.mail")

# Seconds to wait for a connection to the mail server, and for each of its replies.
SMTP_TIMEOUT = 10.0
# The port of each scheme: of a relay, of submission with STARTTLS, and with TLS from
# the start (RFC 8314 section 3.3).
SMTP_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
# Replies from this one on are final (RFC 5321 section 4.2.1).
FINAL = 500
# How many characters of a reply are kept.
LONGEST_REPLY = 500


class MailServer(NamedTuple):
    """Where mails are handed in: the parts of ``SMTP_URL``."""

    scheme: str
    host: str
    port: int
    user: str
    password: str


def parse_smtp_url(url: str) -> MailServer:
    """The parts of an ``SMTP_URL``, such as ``smtps://name:password@mail.example``.

    :raises ConfigError: when it is none; without its text, which has a password.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        port, host = 0, None
    more = parts.path.strip("/") or parts.query or parts.fragment
    login = parts.username or not parts.password
    if not (host and login and parts.scheme in SMTP_PORTS) or port == 0 or more:
        known = ", ".join(f"{scheme}://" for scheme in SMTP_PORTS)
        raise ConfigError(f"SMTP_URL takes {known} with a host, and no path")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return MailServer(
        parts.scheme, host, port or SMTP_PORTS[parts.scheme], user, password
    )


@contextmanager
def connection_to(server: MailServer) -> Iterator[smtplib.SMTP]:
    """A connection to a mail server, encrypted and logged in as its URL says."""
    tls = ssl.create_default_context()
    # With a name, because the library asks the DNS for it otherwise.
    name, place = socket.gethostname(), (server.host, server.port)
    if server.scheme == "smtps":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(
            *place, name, timeout=SMTP_TIMEOUT, context=tls
        )
    else:
        smtp = smtplib.SMTP(*place, name, timeout=SMTP_TIMEOUT)
    try:
        if server.scheme == "smtp+starttls":
            smtp.starttls(context=tls)
        if server.user:
            smtp.login(server.user, server.password)
        yield smtp
        # The mail is accepted, so that an error from here on must not send it again.
        with suppress(smtplib.SMTPException, OSError):
            smtp.quit()
    finally:
        smtp.close()


def hand_in(url: str, message: EmailMessage) -> None:
    """Give a mail to the mail server; when this returns, the server has it.

    :raises Problem: 422 when it will never take this mail; 503 when it does not take it
        now, or cannot be reached. The log has the code of its reply, and no address.
    """
    try:
        with connection_to(parse_smtp_url(url)) as smtp:
            smtp.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise refusal(code, text) from None
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        raise refusal(error.smtp_code, error.smtp_error) from None
    except smtplib.SMTPResponseException as error:
        # Of the greeting or the login, not of this mail: somebody will mend that.
        log.warning("the mail server refuses us, its reply is %d", error.smtp_code)
        raise Problem("unavailable", said(error.smtp_code, error.smtp_error)) from None
    except OSError as error:
        log.warning("a mail waits, the mail server fails: %s", type(error).__name__)
        raise Problem("unavailable", f"The mail server fails: {error}") from None


def refusal(code: int, text: bytes | str) -> Problem:
    """The problem of a mail that the mail server does not take."""
    log.warning("the mail server does not take a mail, its reply is %d", code)
    return Problem(
        "unprocessable" if code >= FINAL else "unavailable", said(code, text)
    )


def said(code: int, text: bytes | str) -> str:
    """The reply of a mail server in a sentence."""
    reply = text.decode(errors="replace") if isinstance(text, bytes) else text
    shown = " ".join(reply.replace("\0", "").split())[:LONGEST_REPLY]
    return f"The mail server said: {code} {shown}"
