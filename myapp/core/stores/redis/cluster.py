"""Redis Cluster: the client of ``redis+cluster://host:7000,host:7001``."""

import threading
from typing import Any

from redis.cluster import ClusterNode, RedisCluster
from sqlalchemy import make_url

MARK = "+cluster://"
DEFAULT_PORT = 6379


def is_cluster(url: str) -> bool:
    """Whether a URL names a cluster."""
    scheme, slashes, _ = url.partition("://")
    return (scheme + slashes).endswith(MARK)


def urls_of_nodes(url: str) -> list[str]:
    """The URL of each node that the URL of a cluster names."""
    scheme, _, rest = url.partition(MARK)
    credentials, at, hosts = rest.rpartition("@")
    hosts, slash, options = hosts.partition("/")
    return [
        f"{scheme}://{credentials}{at}{host}{slash}{options}"
        for host in hosts.split(",")
    ]


class LazyCluster:
    """A cluster client that is made at its first command: redis-py asks the nodes for
    their slots when it makes one, and an application starts while Redis is down.

    :param url: of the cluster.
    :param options: of :class:`redis.cluster.RedisCluster`.
    """

    def __init__(self, url: str, **options: Any) -> None:
        first, *others = urls_of_nodes(url)
        # A node that is down does not stop the models on other nodes.
        self._options = {"url": first, "require_full_coverage": False, **options}
        self._others = [make_url(other) for other in others]
        self._lock = threading.Lock()
        self._client: RedisCluster | None = None

    @classmethod
    def from_url(cls, url: str, **options: Any) -> "LazyCluster":
        """Make the client of a URL, as flask-redis does it."""
        return cls(url, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connected(), name)

    def _connected(self) -> RedisCluster:
        if self._client is None:
            with self._lock:
                if self._client is None:
                    nodes = [
                        ClusterNode(  # type: ignore[no-untyped-call]
                            one.host, one.port or DEFAULT_PORT
                        )
                        for one in self._others
                    ]
                    self._client = RedisCluster(startup_nodes=nodes, **self._options)
        return self._client

    def close(self) -> None:
        """Close the connections, if there are any."""
        if self._client is not None:
            self._client.close()
