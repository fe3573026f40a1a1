"""Hands mails to a mail server, by SMTP (RFC 5321).

The standard library is enough: Flask-Mail and others would add a message class of their
own, and hide which errors may pass.
"""

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

# Seconds to wait for a connection to the mail server, and for each of its replies.
SMTP_TIMEOUT = 10.0
# The port of each scheme: of a relay, of submission with STARTTLS, and with TLS from
# the start (RFC 8314 section 3.3).
SMTP_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
# Replies from this one on are final (RFC 5321 section 4.2.1).
FINAL = 500


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
        port, host = None, None
    if (
        not host
        or parts.scheme not in SMTP_PORTS
        or parts.path.strip("/")
        or parts.query
    ):
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

    :raises Problem: 422 when it will never take this mail.
    :raises OSError: when it cannot be reached, or does not take the mail now; that of
        ``smtplib`` among them.
    """
    with connection_to(parse_smtp_url(url)) as smtp:
        try:
            smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            replies = list(error.recipients.values())
            raise_if_final(*replies[0])
            raise
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            raise_if_final(error.smtp_code, error.smtp_error)
            raise


def raise_if_final(code: int, text: bytes | str) -> None:
    """Say that a mail was refused for good.

    :raises Problem: for such a reply.
    """
    if code >= FINAL:
        said = text.decode(errors="replace") if isinstance(text, bytes) else text
        reply = " ".join(said.split())
        raise Problem("unprocessable", f"The mail server said: {code} {reply}")
