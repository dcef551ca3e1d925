"""A cluster of three nodes, on free ports."""

from patience import until
from ports import free_port
from redis_server import RedisServer

__all__ = ["RedisCluster"]

_SLOTS = 16384
_BUS = 10_000  # higher than its port is the bus of a node


class RedisCluster:
    """Three masters.

    Args:
        certificates: files of an authority; the nodes then have TLS, for clients and among each other.
    """

    def __init__(self, certificates=None):
        self.certificates = certificates
        self.nodes = []
        try:
            for _ in range(3):
                port = free_port(_BUS)
                # No test ends a node, and on a busy machine one may be silent for seconds.
                options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "60000"]
                if certificates:
                    options += ["--tls-cluster", "yes"]
                    self.nodes.append(RedisServer(*options, certificates=certificates, tls_port=port))
                else:
                    self.nodes.append(RedisServer(*options, port=port))
            self._join()
        except BaseException:
            self.close()
            raise

    @property
    def url(self):
        nodes = ",".join(f"127.0.0.1:{node.tls_port or node.port}" for node in self.nodes)
        if self.certificates:
            return f"rediss+cluster://{nodes}?ssl_ca_certs={self.certificates.trusted}"
        return f"redis+cluster://{nodes}"

    def _join(self):
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            share = [slot for slot in range(_SLOTS) if 3 * slot // _SLOTS == number]
            assert b"OK" in node.ask("CLUSTER", "ADDSLOTSRANGE", str(share[0]), str(share[-1]))
            # Else each has the same, and they settle that later, while a test has one give a slot to another.
            assert b"OK" in node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            if node is not first:
                assert b"OK" in node.ask("CLUSTER", "MEET", "127.0.0.1", str(first.tls_port or first.port))
        until(lambda: all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes), "the cluster")
        until(lambda: all(node.ask("CLUSTER", "NODES").count(b" connected") >= 3 for node in self.nodes), "all nodes")

    def close(self):
        for node in self.nodes:
            node.close()
