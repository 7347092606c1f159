"""One connection through the proxy: two threads carry bytes either way, and the fault that strikes a request does its harm to them."""

from __future__ import annotations

import re
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ground.fault import Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ground.fault import Fault

_REQUEST: Final = re.compile(rb"(GET|HEAD|PUT|POST|PATCH|DELETE) [^\r\n]* HTTP/1\.1\r\n")
_CONTINUE: Final = b"HTTP/1.1 100 "
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: \d+")
_CHUNK_BYTES: Final = 65536
_ESTABLISHED: Final = 1
"""Linux's TCP_ESTABLISHED."""
_STEPS_PER_SECOND: Final = 20


class Link:
    """One connection of a client, and the one to the server behind it; *take* notes a request and returns the fault that strikes it."""

    def __init__(self, take: Callable[[str, str], Fault | None], client: socket.socket, server: socket.socket) -> None:
        self._take, self._client, self._server = take, client, server
        self._fault: Fault | None = None
        self._sent = {Where.REQUEST: 0, Where.ANSWER: 0}
        self._bender: Bender | None = None
        self._first = True
        self._threads = [threading.Thread(target=self._to_server), threading.Thread(target=self._to_client)]
        self._open = len(self._threads)
        self._lock = threading.Lock()
        for thread in self._threads:
            thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still carries anything."""
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        """Wait for its end."""
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
                if self._fault is not None and self._fault.reply is not None and self._fault.status is None:
                    self._reply(self._fault)
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
        head = data.partition(_HEAD_END)[0] if found else b""
        line = found.group().decode("latin-1").strip() if found else ""
        self._fault = self._take(line, head.decode("latin-1"))
        self._bender = Bender(self._fault) if self._fault is not None and self._fault.bends else None

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
        fault, bender = self._fault, self._bender
        if fault is None or fault.where is not where or data.startswith(_CONTINUE):
            end.sendall(data)
            return True
        if bender is not None:
            end.sendall(bender.bend(data))
            return not bender.is_done
        if not fault.cuts:
            for piece in _paced(data, fault):
                end.sendall(piece)
            return True
        return self._pass_until_cut(data, fault, end)

    def _pass_until_cut(self, data: bytes, fault: Fault, end: socket.socket) -> bool:
        allowed = data[: max(0, fault.after_bytes - self._sent[fault.where])]
        self._sent[fault.where] += len(allowed)
        end.sendall(allowed)
        if len(allowed) == len(data):
            return True
        fault.struck.set()
        self.cut()
        return False

    def _reply(self, fault: Fault) -> None:
        """Give the client the fault's reply and swallow the rest of its request."""
        fault.struck.set()
        self._client.sendall(fault.reply or b"")
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


class Bender:
    """Changes one message, request or answer, on its way as its fault wants; `is_done` says that nothing more of it may pass."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._head = b""
        self._position: int | None = None
        """In the body; None while the head is not over."""
        self.is_done = False

    def bend(self, data: bytes) -> bytes:
        """Return what is passed on in place of *data*, which comes next."""
        if self._position is not None:
            return self._body(data)
        self._head += data
        head, end, body = self._head.partition(_HEAD_END)
        if not end:
            return b""
        self._position = 0
        if self._is_to_be_replaced(head):
            self._fault.struck.set()
            self.is_done = True
            return self._fault.reply or b""
        return self._bent_head(head) + end + self._body(body)

    def _is_to_be_replaced(self, head: bytes) -> bool:
        return self._fault.status is not None and head.startswith(b"HTTP/1.1 %d " % self._fault.status)

    def _bent_head(self, head: bytes) -> bytes:
        if self._fault.ends_at is None:
            return head
        return _LENGTH.sub(b"\r\nContent-Length: %d\r\nConnection: close" % self._fault.ends_at, head)

    def _body(self, data: bytes) -> bytes:
        start, fault = self._position or 0, self._fault
        self._position = start + len(data)
        if fault.flips_at is not None and start <= fault.flips_at < self._position:
            fault.struck.set()
            changed = bytearray(data)
            changed[fault.flips_at - start] ^= 1
            data = bytes(changed)
        if fault.ends_at is not None and self._position >= fault.ends_at:
            fault.struck.set()
            self.is_done = True
            data = data[: max(0, fault.ends_at - start)]
        return data


def _paced(data: bytes, fault: Fault) -> Iterator[bytes]:
    """Yield *data* in steps, as slowly as *fault* wants it."""
    speed = fault.bytes_per_second
    if speed is None:
        yield data
        return
    fault.struck.set()
    step_bytes = max(1, speed // _STEPS_PER_SECOND)
    for start in range(0, len(data), step_bytes):
        piece = data[start : start + step_bytes]
        yield piece
        fault.release.wait(len(piece) / speed)


def _has_left(client: socket.socket) -> bool:
    """Return whether the other end has closed its connection, as a kernel does for a killed process; bytes may still lie here unread."""
    state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != _ESTABLISHED
