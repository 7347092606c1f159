"""What can go wrong between a client and an S3 server, by name: `proxy.add(fault.slow_down(times=3))`.

A pattern is looked for in a request's first line, `PUT /bucket/key?query HTTP/1.1`. What no preset does can be asked of `Fault` itself.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

FOR_EVER: Final = 1_000_000
"""As `times`: the fault does not pass while the test runs."""
PART: Final = r"PUT \S+[?&]partNumber="
"""A part of an upload."""
COMPLETION: Final = r"POST \S+[?&]uploadId="
"""The request that makes the parts of an upload an object."""
WRITE: Final = f"PUT|{COMPLETION}"
READ: Final = r"GET \S+\.(pgc|json)"
"""An object of ours on its way back, whole or a range; listings ask for a bucket."""


class Where(Enum):
    """On which way a fault strikes."""

    REQUEST = "request"
    ANSWER = "answer"


@dataclass
class Fault:
    """What happens to the first *times* requests whose first line *pattern* is found in, and *header* in their head.

    Without anything more the connection is cut after *after_bytes* of the request or of its answer. Else, in this order:

    - *reply*: the server never sees the request and the client gets these bytes instead; with *status* the server answers first, and only
      an answer with that status is replaced.
    - *holds*: the request (or its answer) waits until `release` is set; one whose client was killed meanwhile is never passed on.
    - *bytes_per_second*: it takes its time; `release` ends that.
    - *flips_at*, *ends_at*: one bit of the body is another, or the body is cut there and the head says that this is its length.

    `struck` tells that it came to it.
    """

    pattern: str
    where: Where = Where.REQUEST
    after_bytes: int = 0
    times: int = 1
    header: str = ""
    reply: bytes | None = None
    status: int | None = None
    holds: bool = False
    bytes_per_second: int | None = None
    flips_at: int | None = None
    ends_at: int | None = None
    struck: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def cuts(self) -> bool:
        """Whether it breaks the connection."""
        others = (self.reply, self.bytes_per_second, self.flips_at, self.ends_at)
        return not self.holds and all(one is None for one in others)

    @property
    def bends(self) -> bool:
        """Whether it changes what is sent."""
        return self.status is not None or self.flips_at is not None or self.ends_at is not None


def refusal(status: int, code: str, message: str = "") -> bytes:
    """Return an S3 server's answer that says no."""
    return _answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>")


def server_error(pattern: str = "", *, times: int = 1) -> Fault:
    """Answer 500: the store has trouble of its own."""
    return Fault(pattern, times=times, reply=refusal(500, "InternalError"))


def slow_down(pattern: str = "", *, times: int = 1) -> Fault:
    """Answer 503: too many requests for the store as it is now."""
    return Fault(pattern, times=times, reply=refusal(503, "SlowDown"))


def conflict(pattern: str = WRITE, *, times: int = 1) -> Fault:
    """Answer 409: another conditional request for the same key is under way."""
    return Fault(pattern, times=times, header="if-none-match", reply=refusal(409, "ConditionalRequestConflict"))


def clock_skewed(pattern: str = "", *, times: int = FOR_EVER) -> Fault:
    """Answer 403: the time in the signature is too far from the store's."""
    return Fault(pattern, times=times, reply=refusal(403, "RequestTimeTooSkewed"))


def slow(bytes_per_second: int, pattern: str = "", *, where: Where = Where.REQUEST, times: int = FOR_EVER) -> Fault:
    """Let everything on one way of a connection take its time."""
    return Fault(pattern, where, times=times, bytes_per_second=bytes_per_second)


def reset_in_part(after_bytes: int, pattern: str = PART, *, times: int = 1) -> Fault:
    """Reset the connection in the middle of a part on its way in."""
    return Fault(pattern, after_bytes=after_bytes, times=times)


def answer_lost(pattern: str = WRITE, *, times: int = 1) -> Fault:
    """Let the store do what it was asked for, and nobody hear of it."""
    return Fault(pattern, Where.ANSWER, times=times)


def truncated_read(after_bytes: int, pattern: str = READ, *, times: int = 1) -> Fault:
    """Reset the connection in the middle of an answer."""
    return Fault(pattern, Where.ANSWER, after_bytes=after_bytes, times=times)


def shortened_read(to_bytes: int, pattern: str = READ, *, times: int = 1) -> Fault:
    """Answer with less than the object holds and claim that this is all: HTTP finds nothing wrong with it."""
    return Fault(pattern, Where.ANSWER, times=times, ends_at=to_bytes)


def flipped_bit(
    at_byte: int, pattern: str = READ, *, where: Where = Where.ANSWER, times: int = 1, header: str = ""
) -> Fault:
    """Turn one bit of the body on its way out or (*where*) in."""
    return Fault(pattern, where, times=times, flips_at=at_byte, header=header)


def no_conditional_put(pattern: str = WRITE) -> Fault:
    """Answer 501 to every condition: the store knows none, and says so."""
    return Fault(pattern, times=FOR_EVER, header="if-none-match", reply=refusal(501, "NotImplemented"))


def no_checksums(pattern: str = "PUT|POST") -> Fault:
    """Answer 501 to every checksum of the newer kind: the store knows none, and says so."""
    return Fault(pattern, times=FOR_EVER, header="x-amz-checksum-", reply=refusal(501, "NotImplemented"))


def ignored_condition(pattern: str = "PUT") -> Fault:
    """Do as if nobody had set a condition: whoever comes late hears of success."""
    done = '<CompleteMultipartUploadResult><ETag>"0"</ETag></CompleteMultipartUploadResult>'
    return Fault(pattern, Where.ANSWER, times=FOR_EVER, status=412, reply=_answer(200, done, 'ETag: "0"\r\n'))


def held(pattern: str, *, where: Where = Where.REQUEST) -> Fault:
    """Let the request, or its answer, wait for `release`."""
    return Fault(pattern, where, holds=True)


def _answer(status: int, xml: str, headers: str = "") -> bytes:
    body = f"<?xml version='1.0'?>{xml}".encode()
    kind = f"Content-Type: application/xml\r\n{headers}"
    return f"HTTP/1.1 {status} X\r\n{kind}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
