"""A proxy that breaks things on purpose: between a client and an S3 server it loses answers, cuts connections and holds requests.

It looks at the first line of each request and at nothing else; what is encrypted matches only the empty pattern.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

_REQUEST: Final = re.compile(rb"(GET|HEAD|PUT|POST|PATCH|DELETE) [^\r\n]* HTTP/1\.1\r\n")
_CONTINUE: Final = b"HTTP/1.1 100 "
_CHUNK_BYTES: Final = 65536
_ESTABLISHED: Final = 1
"""Linux's TCP_ESTABLISHED."""


class Where(Enum):
    """On which way a fault strikes."""

    REQUEST = "request"
    ANSWER = "answer"


@dataclass
class Fault:
    """What happens to the first *times* requests whose first line *pattern* is found in.

    After *after_bytes* of the request or of its answer the connection is cut. With a *reply* the server never sees the request and the
    client gets these bytes instead. With *holds* nothing is cut: the request (or its answer) waits until `release` is set; `struck` tells
    that it came. A request whose client was killed meanwhile is never passed on.
    """

    pattern: str
    where: Where = Where.REQUEST
    after_bytes: int = 0
    times: int = 1
    reply: bytes | None = None
    holds: bool = False
    struck: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Listens on a port of its own and forwards to *host* and *port*; a context manager. *address* is where it listens."""

    def __init__(self, host: str, port: int, *, address: str = "127.0.0.1") -> None:
        self._upstream = (host, port)
        self._address = address
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._links: set[_Link] = set()
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

    def take(self, line: str) -> Fault | None:
        """Note a request and return the fault that strikes it."""
        with self._lock:
            self.requests.append(line)
            for fault in self._faults:
                if fault.times > 0 and re.search(fault.pattern, line):
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
                self._links.add(_Link(self, client, server))


class _Link:
    """One connection of a client, and the one to the server behind it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._fault: Fault | None = None
        self._sent = {Where.REQUEST: 0, Where.ANSWER: 0}
        self._first = True
        self._threads = [threading.Thread(target=self._to_server), threading.Thread(target=self._to_client)]
        self._open = len(self._threads)
        self._lock = threading.Lock()
        for thread in self._threads:
            thread.start()

    @property
    def is_alive(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Break both connections, without a goodbye."""
        for end in (self._client, self._server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)

    def _to_server(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(_CHUNK_BYTES):
                self._notice(data)
                if not self._may_go_on(Where.REQUEST):
                    break
                if self._fault is not None and self._fault.reply is not None:
                    self._answer(self._fault.reply)
                    break
                if not self._pass(data, Where.REQUEST, self._server):
                    break
        self._end()

    def _to_client(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(_CHUNK_BYTES):
                if not data.startswith(_CONTINUE) and not self._may_go_on(Where.ANSWER):
                    break
                if not self._pass(data, Where.ANSWER, self._client):
                    break
        self._end()

    def _notice(self, data: bytes) -> None:
        """See whether *data* begins a request, and which fault strikes it."""
        found = _REQUEST.match(data)
        if found is None and not self._first:
            return
        self._first = False
        self._sent = {Where.REQUEST: 0, Where.ANSWER: 0}
        self._fault = self._proxy.take(found.group().decode("latin-1").strip() if found else "")

    def _may_go_on(self, where: Where) -> bool:
        """Wait while a fault holds this way; return whether somebody still wants what was held."""
        fault = self._fault
        if fault is None or not fault.holds or fault.where is not where or fault.release.is_set():
            return True
        fault.struck.set()
        fault.release.wait()
        return not _has_left(self._client)

    def _pass(self, data: bytes, where: Where, end: socket.socket) -> bool:
        """Send *data* on as far as the fault allows; return whether the connection lives on."""
        fault = self._fault
        if fault is None or fault.holds or fault.where is not where or data.startswith(_CONTINUE):
            end.sendall(data)
            return True
        allowed = data[: max(0, fault.after_bytes - self._sent[where])]
        self._sent[where] += len(allowed)
        end.sendall(allowed)
        if len(allowed) == len(data):
            return True
        fault.struck.set()
        self.cut()
        return False

    def _answer(self, reply: bytes) -> None:
        """Give the client *reply* and swallow the rest of its request."""
        self._client.sendall(reply)
        self._client.shutdown(socket.SHUT_WR)
        while self._client.recv(_CHUNK_BYTES):
            pass

    def _end(self) -> None:
        """End one direction; the last one to go closes both ends."""
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            self._client.close()
            self._server.close()


def _has_left(client: socket.socket) -> bool:
    """Return whether the other end has closed its connection, as a kernel does for a killed process; bytes may still lie here unread."""
    state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != _ESTABLISHED
