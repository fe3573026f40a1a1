"""Jobs during a rehearsal: reports, each mailed to an address of its own."""

import json
import threading
import time
from collections import Counter
from email import message_from_bytes
from http.client import HTTPException, HTTPSConnection

from aiosmtpd.controller import Controller
from rehearsal.proxy import free_port

URL = "/catalog/movies/report"
# Seconds between two reports, for a response, and until the last mail must be there.
PAUSE, PATIENCE, LAST_MAIL = 0.2, 30, 120


class MailServer:
    """A mail server that counts the mails that it gets, by their addresses."""

    def __init__(self):
        self.port, self.mails = free_port(), Counter()
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self.controller.start()

    async def handle_DATA(self, server, session, envelope):
        """Take a mail."""
        self.mails[message_from_bytes(envelope.content)["To"]] += 1
        return "250 OK"

    def stop(self):
        """End it."""
        self.controller.stop()


class Reports(threading.Thread):
    """A client that asks for reports until it is stopped.

    :param nginx: which serves.
    :param mails: where the reports arrive.
    :param session: the headers of a session.
    """

    def __init__(self, nginx, mails, stop, session):
        super().__init__(name="reports")
        self.nginx, self.mails, self.stop = nginx, mails.mails, stop
        self.session = session
        self.asked, self.acknowledged = set(), set()

    def run(self):
        """Ask for one report after another."""
        while not self.stop.wait(PAUSE):
            address = f"report-{len(self.asked)}@mail.example"
            self.asked.add(address)
            if self.ask(address) == 202:
                self.acknowledged.add(address)

    def ask(self, address):
        """Ask for a report, again until there is a response; return its status."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": address}
        headers |= self.session
        body, deadline = json.dumps({"mail_to": address}), time.monotonic() + PATIENCE
        status = 0
        while status in (0, 409, 502, 503, 504) and time.monotonic() < deadline:
            connection = HTTPSConnection(
                "127.0.0.1", self.nginx.port, timeout=PATIENCE, context=self.nginx.tls
            )
            try:
                connection.request("POST", URL, body, headers)
                status = connection.getresponse().status
            except (OSError, HTTPException):
                status = 0
            finally:
                connection.close()
        return status

    def compare(self):
        """Wait for the last mail, and return the addresses without a mail, and those
        with several."""
        deadline = time.monotonic() + LAST_MAIL
        while self.acknowledged - self.mails.keys() and time.monotonic() < deadline:
            time.sleep(0.1)
        # A mail that is sent twice may come a bit later.
        time.sleep(2)
        mails = self.mails
        lost = [f"no mail for {one}" for one in self.acknowledged - mails.keys()]
        doubled = [
            f"{count} mails for {to}" for to, count in mails.items() if count > 1
        ]
        return lost, doubled
