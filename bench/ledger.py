"""Clients that write, and a ledger of what the server acknowledged."""

import json
import random
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

# Seconds that a client waits for a response; longer than the server may take.
PATIENCE = 30
# Seconds between two tries, and after which a write with a key is given up.
PAUSE, LONGEST = 0.05, 120
GONE = None
# A write with one of these may have been made; 0 is no response.
UNKNOWN = (0, 500, 502, 503, 504)


@dataclass
class Resource:
    """One resource: its URL, and how a text is put into a body and read from it."""

    name: str
    url: str
    field: str
    more: dict

    def body(self, text):
        """Return a body with a text."""
        return {**self.more, self.field: text}


RESOURCES = (
    Resource("sql", "/catalog/directors/", "name", {}),
    Resource("redis", "/carts/", "note", {"items": []}),
)


@dataclass
class Entry:
    """One record: the texts that it may have now. ``None`` is a record that is gone."""

    resource: Resource
    marker: str
    possible: set = field(default_factory=set)
    id: str | None = None
    etag: str | None = None
    revision: int = 0

    def next_text(self):
        """Return a text that was never written before."""
        self.revision += 1
        return f"{self.marker} {self.revision}"


class Ledger:
    """What all clients did and saw."""

    def __init__(self):
        self.entries, self.events, self.wrong = [], [], []
        self.acknowledged = self.replayed = self.statuses = 0
        self.statuses = {}
        self.lock = threading.Lock()

    def note(self, resource, status, headers):
        """Count a response; ``status`` is 0 when there was none."""
        with self.lock:
            self.events.append((time.monotonic(), resource.name, status))
            self.statuses[status] = self.statuses.get(status, 0) + 1
            self.replayed += "Idempotent-Replayed" in headers

    def acknowledge(self, entry, possible):
        """Count a write with a response of success."""
        entry.possible = {possible}
        with self.lock:
            self.acknowledged += 1

    def refuse(self, what):
        """Note something that must not happen."""
        with self.lock:
            self.wrong.append(what)


class Client(threading.Thread):
    """One client: it creates, changes and deletes records of its own until stopped.

    Half of its POST and PATCH requests have an Idempotency-Key, and are sent again
    until there is a response; the others are sent once.
    """

    #: The headers of the session of all clients.
    session = {}

    def __init__(self, number, port, ledger, stop):
        super().__init__(name=f"c{number}")
        self.port, self.ledger, self.stop = port, ledger, stop
        self.random = random.Random(number)
        self.count = 0
        self.mine = []

    def run(self):
        """Write until told to stop."""
        while not self.stop.is_set():
            entry = self.random.choice(self.mine) if self.mine else None
            act = self.random.random()
            if entry is None or act < 0.6:
                self.create(self.random.choice(RESOURCES))
            elif act < 0.9:
                self.change(entry)
            else:
                self.delete(entry)

    def connect(self):
        """Return a connection to the server."""
        return HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def send(self, resource, method, path, body=None, headers=None):
        """Send one request, and return status, headers and body; status 0 when the
        connection ended without a response."""
        connection = self.connect()
        sent = {"Content-Type": "application/json", **self.session, **(headers or {})}
        try:
            connection.request(method, path, body and json.dumps(body), sent)
            response = connection.getresponse()
            content = response.read()
            status, got = response.status, dict(response.headers)
        except (OSError, HTTPException):
            status, got, content = 0, {}, b""
        finally:
            connection.close()
        self.ledger.note(resource, status, got)
        return status, got, content

    def write(self, entry, method, path, body, headers):
        """Send a write; one with a key until there is a response."""
        is_keyed = self.random.random() < 0.5
        if is_keyed:
            self.count += 1
            headers = {**headers, "Idempotency-Key": f"{self.name}-{self.count}"}
        deadline = time.monotonic() + LONGEST
        while True:
            status, got, content = self.send(
                entry.resource, method, path, body, headers
            )
            # A key that is in use, 409, is tried again, too.
            if not is_keyed or status not in (*UNKNOWN, 409):
                return status, got, content
            if time.monotonic() > deadline:
                self.ledger.refuse(f"{entry.marker}: no response in {LONGEST} s")
                return status, got, content
            time.sleep(PAUSE)

    def create(self, resource):
        """Create a record."""
        self.count += 1
        entry = Entry(resource, f"{self.name}-{self.count}")
        text = entry.next_text()
        entry.possible = {GONE, text}
        self.ledger.entries.append(entry)
        status, headers, content = self.write(
            entry, "POST", resource.url, resource.body(text), {}
        )
        if status == 201:
            self.ledger.acknowledge(entry, text)
            entry.id, entry.etag = json.loads(content)["id"], headers["ETag"]
            self.mine.append(entry)
        elif status not in UNKNOWN:
            self.ledger.refuse(f"{entry.marker}: POST {status} {content[:200]}")

    def look(self, entry):
        """Read a record; return whether it can be changed now."""
        path = f"{entry.resource.url}{entry.id}"
        status, headers, content = self.send(entry.resource, "GET", path)
        if status == 404:
            if GONE not in entry.possible:
                self.ledger.refuse(f"{entry.marker} is lost")
            self.mine.remove(entry)
        elif status == 200:
            text = json.loads(content)[entry.resource.field]
            if text not in entry.possible:
                self.ledger.refuse(f"{entry.marker} is {text}, not {entry.possible}")
            entry.etag = headers["ETag"]
            return True
        elif status not in UNKNOWN:
            self.ledger.refuse(f"{entry.marker}: GET {status}")
        return False

    def change(self, entry):
        """Change the record that was read last."""
        if entry.etag is None and not self.look(entry):
            return
        text = entry.next_text()
        entry.possible.add(text)
        status, headers, content = self.write(
            entry,
            "PATCH",
            f"{entry.resource.url}{entry.id}",
            {entry.resource.field: text},
            {"If-Match": entry.etag},
        )
        entry.etag = headers.get("ETag") if status == 200 else None
        if status == 200:
            self.ledger.acknowledge(entry, text)
        elif status == 412 or status == 404:
            # An earlier write without a response was made after all.
            if len(entry.possible) == 2:
                self.ledger.refuse(f"{entry.marker}: PATCH {status} {content[:200]}")
        elif status not in UNKNOWN:
            self.ledger.refuse(f"{entry.marker}: PATCH {status} {content[:200]}")

    def delete(self, entry):
        """Delete a record."""
        entry.possible.add(GONE)
        path = f"{entry.resource.url}{entry.id}"
        status, _, content = self.send(entry.resource, "DELETE", path)
        entry.etag = None
        if status == 204:
            self.ledger.acknowledge(entry, GONE)
        if status in (204, 404):
            self.mine.remove(entry)
        elif status not in UNKNOWN:
            self.ledger.refuse(f"{entry.marker}: DELETE {status} {content[:200]}")


def compare(ledger, stored):
    """Return how many records are lost, doubled, or have a text that nobody wrote last.

    :param stored: the texts in each store, by the name of the resource.
    """
    found = {}
    for name, texts in stored.items():
        for text in texts:
            found.setdefault((name, text.split()[0]), []).append(text)
    lost, doubled, other = [], [], []
    for entry in ledger.entries:
        texts = found.pop((entry.resource.name, entry.marker), [])
        if len(texts) > 1:
            doubled.append((entry.marker, texts))
        elif not texts and GONE not in entry.possible:
            lost.append((entry.marker, entry.possible))
        elif texts and texts[0] not in entry.possible:
            other.append((entry.marker, texts[0], entry.possible))
    return lost, doubled, other + list(found.items())
