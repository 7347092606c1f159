"""Whoever reads is told what was read, and does not wait for a storage that hangs."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from dbcustody.errors import DamagedError, InterruptedRunError
from dbcustody.jobs.readahead import read_ahead
from ground.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator

LIMIT_SECONDS = 30


def no_stop() -> threading.Event:
    """Return an event that nobody sets."""
    return threading.Event()


def is_read() -> bool:
    """Return whether a thread reads ahead."""
    return "read-ahead" in {one.name for one in threading.enumerate()}


def test_everything_comes_in_its_order() -> None:
    """Also an empty piece is one."""
    pieces = [b"one", b"", b"two", *(b"%d" % number for number in range(50))]
    assert list(read_ahead((piece for piece in pieces), no_stop())) == pieces


def test_an_error_is_raised_after_what_came_before_it() -> None:
    """The error of the reading is the error of whoever reads."""

    def broken() -> Generator[bytes]:
        yield b"one"
        raise DamagedError("torn")

    reading = read_ahead(broken(), no_stop())
    assert next(reading) == b"one"
    with pytest.raises(DamagedError, match="torn"):
        next(reading)


def test_a_storage_that_hangs_keeps_nobody_who_is_told_to_stop() -> None:
    """It hangs in the middle and never goes on by itself; the stop comes while it is waited for, and the thread is left behind."""
    stop, hangs = threading.Event(), threading.Event()

    def hanging() -> Generator[bytes]:
        yield b"one"
        hangs.wait()

    reading = read_ahead(hanging(), stop)
    assert next(reading) == b"one"
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(InterruptedRunError):
        next(reading)
    assert is_read()
    hangs.set()
    assert wait_until(lambda: not is_read(), LIMIT_SECONDS)


def test_whoever_leaves_early_lets_go_of_the_storage() -> None:
    """The connection is closed by the thread that reads, which ends; no more than a piece ahead was read."""
    closed, read = threading.Event(), []

    def endless() -> Generator[bytes]:
        try:
            while True:
                read.append(1)
                yield b"piece"
        finally:
            closed.set()

    reading = read_ahead(endless(), no_stop())
    assert next(reading) == b"piece"
    time.sleep(0.5)
    assert len(read) <= 3
    reading.close()
    assert closed.wait(LIMIT_SECONDS)
    assert wait_until(lambda: not is_read(), LIMIT_SECONDS)
