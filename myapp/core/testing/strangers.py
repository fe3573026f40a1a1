"""Conformance: callers without credentials, and callers without this record."""

from myapp.core.testing.callers import caller_of
from myapp.core.testing.case import ResourceCase
from myapp.core.testing.client import Client, all_records

# A caller that is known, and has no role.
WITHOUT_ROLE = "00000000-0000-7000-8000-0000000000ff"


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

    def test_who_may_not_call_a_route_is_refused(self, client: Client) -> None:
        record = self.make(client)
        nobody = self.client_for(self.app, "")
        other = self.client_for(self.app, WITHOUT_ROLE)
        with self.app.app_context():
            without_role = caller_of(WITHOUT_ROLE)
        for url, methods in (
            (self.url, ("GET", "POST")),
            (self.item(record), ("GET", "PUT", "PATCH", "DELETE")),
        ):
            for method in methods:
                rule = self.rule_of(url, method)
                if not rule.is_public:
                    response = nobody.open(url, method=method, expect=401)
                    assert response.headers["WWW-Authenticate"]
                if not rule.is_public and not rule.allows(without_role):
                    other.open(url, method=method, expect=403)
        assert client.get(self.item(record)).json == record
