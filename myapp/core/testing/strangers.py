"""Conformance: callers without credentials, and callers without this record."""

from myapp.core.testing.case import ResourceCase
from myapp.core.testing.client import Client, all_records


class Strangers(ResourceCase):
    """Who may call a route, and what exists for whom."""

    def test_a_stranger_finds_nothing(self, client: Client) -> None:
        if not self.stranger:
            return
        record, change = self.make(client), self.change(self.full)
        stranger = self.client_for(self.app, self.stranger)
        url, match = self.item(record), {"If-Match": "*"}
        assert record not in all_records(stranger, self.url)
        stranger.get(url, expect=404)
        body = self.replacement(record, self.full)
        stranger.put(url, json=body, headers=match, expect=404)
        stranger.patch(url, json=change, headers=match, expect=404)
        stranger.delete(url, headers=match, expect=404)
        item = {"id": record["id"], "version": 1}
        for batch in ({"update": [item]}, {"delete": [item]}):
            expect = 422 if self.model.has_batch else 405
            stranger.post(f"{self.url}batch", json=batch, expect=expect)
        assert client.get(url).json == record

    def test_a_route_that_is_not_public_needs_credentials(self, client: Client) -> None:
        record = self.make(client)
        nobody = self.client_for(self.app, "")
        for url, methods in (
            (self.url, ("GET", "POST")),
            (self.item(record), ("GET", "PUT", "PATCH", "DELETE")),
        ):
            for method in methods:
                if not self.rule_of(url, method).is_public:
                    response = nobody.open(url, method=method, expect=401)
                    assert response.headers["WWW-Authenticate"]
