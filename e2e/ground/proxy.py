"""A proxy that breaks things on purpose: between a client and an S3 server it does the harm that `ground.fault` has names for.

It looks at the head of each request and at nothing else; what is encrypted matches only the empty pattern.
"""

from __future__ import annotations

import gc
import re
import socket
import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from ground.fault import Fault, Where
from ground.link import Link

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Fault", "Proxy", "Where"]


class Proxy:
    """Listens on a port of its own and forwards to *host* and *port*; a context manager. *address* is where it listens."""

    def __init__(self, host: str, port: int, *, address: str = "127.0.0.1") -> None:
        self._upstream = (host, port)
        self._address = address
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._links: set[Link] = set()
        self._closing = False
        self.requests: list[str] = []
        """The first line of every request so far, in order."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server((self._address, 0))
        self.port = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for fault in self._faults:
            fault.release.set()
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()
            link.join()
        _bury()

    @property
    def url(self) -> str:
        """The endpoint, without TLS."""
        return f"http://{self._address}:{self.port}"

    def add(self, fault: Fault) -> Fault:
        """Let *fault* strike from now on; returns it."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def cut(self) -> None:
        """Break every connection that is open now; what is on its way is lost."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()

    def count(self, pattern: str) -> int:
        """Return how many requests so far had *pattern* in their first line."""
        return sum(re.search(pattern, line) is not None for line in self.requests)

    def heal(self) -> None:
        """Let no fault strike any more; what one holds or slows down goes on."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.release.set()

    def take(self, line: str, head: str) -> Fault | None:
        """Note a request and return the fault that strikes it."""
        with self._lock:
            self.requests.append(line)
            for fault in self._faults:
                if fault.times > 0 and re.search(fault.pattern, line) and fault.header in head.lower():
                    fault.times -= 1
                    return fault
        return None

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._upstream, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._links = {link for link in self._links if link.is_alive}
                self._links.add(Link(self.take, client, server))


def _bury() -> None:
    """Collect the sockets of answers that were cut in their heads: botocore drops one that it cannot parse without closing it.

    Otherwise a test that has nothing to do with it would be blamed for the warning some time later.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
