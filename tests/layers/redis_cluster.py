"""A cluster of three nodes, on free ports."""

from patience import until
from redis_server import RedisServer, free_port

__all__ = ["RedisCluster"]

_SLOTS = 16384
_MOST_PORT = 55_535  # the bus of a node is at its port and 10,000


class RedisCluster:
    """Three masters."""

    def __init__(self):
        self.nodes = []
        try:
            for _ in range(3):
                port = free_port()
                while port > _MOST_PORT:
                    port = free_port() - 10_000
                self.nodes.append(RedisServer("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", port=port))
            self._join()
        except BaseException:
            self.close()
            raise

    @property
    def url(self):
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def _join(self):
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            share = range(number * _SLOTS // 3, (number + 1) * _SLOTS // 3)
            assert b"OK" in node.ask("CLUSTER", "ADDSLOTSRANGE", str(share[0]), str(share[-1]))
            if node is not first:
                assert b"OK" in node.ask("CLUSTER", "MEET", "127.0.0.1", str(first.port))
        until(lambda: all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes), "the cluster")
        until(lambda: all(node.ask("CLUSTER", "NODES").count(b"connected") >= 3 for node in self.nodes), "all nodes")

    def close(self):
        for node in self.nodes:
            node.close()
