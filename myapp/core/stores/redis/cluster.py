"""Redis Cluster: the client of ``redis+cluster://host:7000,host:7001``."""

import re
import threading
import time
from typing import Any

from redis import ConnectionError, RedisError
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry
from sqlalchemy import make_url

MARK = "+cluster://"
DEFAULT_PORT = 6379
# How many other nodes are asked when one does not answer, and seconds until the next
# attempt after all have failed.
MORE_NODES = 3
RECONNECT_PAUSE = 0.5


def is_cluster(url: str) -> bool:
    """Whether a URL names a cluster."""
    scheme, slashes, _ = url.partition("://")
    return (scheme + slashes).endswith(MARK)


def urls_of_nodes(url: str) -> list[str]:
    """The URL of each node that the URL of a cluster names."""
    scheme, _, rest = url.partition(MARK)
    credentials, at, hosts = rest.rpartition("@")
    hosts, *options = re.split("(?=[/?])", hosts, maxsplit=1)
    return [
        f"{scheme}://{credentials}{at}{host}{''.join(options)}"
        for host in hosts.split(",")
    ]


class LazyCluster:
    """A cluster client that is made at its first command: redis-py asks the nodes for
    their slots when it makes one, and an application starts while Redis is down.

    :param url: of the cluster.
    :param client_class: what it makes.
    :param options: of :class:`redis.cluster.RedisCluster`.
    """

    def __init__(
        self, url: str, client_class: Any = RedisCluster, **options: Any
    ) -> None:
        self._client_class = client_class
        first, *others = urls_of_nodes(url)
        # A node that is down does not stop the models on other nodes.
        self._options = {"url": first, "require_full_coverage": False, **options}
        self._others = [make_url(other) for other in others]
        self._lock = threading.Lock()
        self._client: RedisCluster | None = None
        #: Until when threads that have waited for a failed attempt fail with it, too.
        self._failed_until = 0.0

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
                    self._client = self._connect()
        return self._client

    def _connect(self) -> RedisCluster:
        if time.monotonic() < self._failed_until:
            raise ConnectionError("no node of the cluster has answered a moment ago")
        nodes = [
            ClusterNode(  # type: ignore[no-untyped-call]
                one.host, DEFAULT_PORT if one.port is None else one.port
            )
            for one in self._others
        ]
        # It asks one node for its commands, and the next one when that one is down.
        options = {**self._options, "retry": Retry(NoBackoff(), MORE_NODES)}
        try:
            client: RedisCluster = self._client_class(startup_nodes=nodes, **options)
        except (RedisError, RedisClusterException):
            self._failed_until = time.monotonic() + RECONNECT_PAUSE
            raise
        # From now on it repeats nothing: a script may have run although its reply was
        # lost.
        client.set_retry(Retry(NoBackoff(), 0))
        return client

    def close(self) -> None:
        """Close the connections, if there are any."""
        if self._client is not None:
            self._client.close()
