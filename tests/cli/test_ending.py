"""How commands end: the exit code of every reason, how complaints look, and that one signal asks and a second one does not."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NoReturn

import pytest

from dbcustody.cli.ending import Exit, complain, exit_of, interruptible, told
from dbcustody.errors import InterruptedRunError, RefusedError, UnavailableError
from dbcustody.guidance import GUIDANCE
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    import threading


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        pytest.param(Reason.SUCCEEDED, 0, id="done"),
        pytest.param(Reason.ADOPTED, 0, id="adopted"),
        pytest.param(Reason.HELD, 0, id="held-by-the-storage"),
        pytest.param(Reason.AUTHENTICATION_FAILED, 1, id="refused"),
        pytest.param(Reason.STORAGE_UNREACHABLE, 1, id="unavailable"),
        pytest.param(Reason.KEY_MISMATCH, 1, id="wrong-key"),
        pytest.param(Reason.RETENTION_FROZEN, 1, id="frozen"),
        pytest.param(Reason.RETENTION_NEEDS_CONFIRMATION, 3, id="waits-for-a-person"),
        pytest.param(Reason.DATABASE_BUSY, 5, id="busy"),
        pytest.param(Reason.LOCK_NOT_OBTAINED, 5, id="lock"),
        pytest.param(Reason.SKIPPED, 5, id="skipped"),
        pytest.param(Reason.ARCHIVE_DAMAGED, 7, id="damaged"),
        pytest.param(Reason.VERIFICATION_FAILED, 7, id="rows-differ"),
        pytest.param(Reason.INVALID_SPEC, 64, id="usage"),
        pytest.param(Reason.INTERRUPTED, 130, id="cancelled"),
    ],
)
def test_reasons_have_stable_exit_codes(reason: Reason, code: int) -> None:
    """Scripts can tell the kinds of end apart."""
    assert exit_of(reason) == code


def test_no_failure_ends_with_zero() -> None:
    """Whatever reason is added: only what a Job calls done is done here."""
    assert {one for one in Reason if exit_of(one) is Exit.DONE} == {
        one for one in Reason if GUIDANCE[one].exit_code is ExitCode.DONE
    }


def test_complaints_are_one_line_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    """One complaint is one line on standard error; what looks like a secret is blotted out."""
    complain("connect to postgresql://app:c4nary@db/shop failed: password=c4nary")

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: connect to postgresql://***@db/shop")
    assert captured.err.count("\n") == 1
    assert "c4nary" not in captured.err


def test_several_complaints_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Several problems come as a list."""
    complain("A: is missing\nB: is missing")

    assert capsys.readouterr().err.splitlines() == [
        "error: 2 settings are wrong",
        "  - A: is missing",
        "  - B: is missing",
    ]


def test_remedies_speak_of_the_command_line() -> None:
    """What a cluster does by annotation is done here by an option."""
    message = "5 would go; if that is meant, annotate the BackupPolicy with dbcustody.dev/confirm-prune=abc"

    assert told(Reason.RETENTION_NEEDS_CONFIRMATION, message).endswith(
        "run `dbcustody backup` with --confirm-prune=abc"
    )
    assert "sslmode=disable" in told(Reason.TLS_FAILED, "x")
    assert told(Reason.DUMP_FAILED, "two\nlines") == "DumpFailed: two lines"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_first_signal_asks(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM set the event; the work ends in its own way, and the old handlers are back afterwards."""
    before = signal.getsignal(number)

    def work(stop: threading.Event) -> int:
        os.kill(os.getpid(), number)
        assert stop.wait(5)
        return 17

    assert interruptible(work) == 17
    assert signal.getsignal(number) is before


def test_second_signal_does_not_wait() -> None:
    """Whoever presses Ctrl-C twice is not kept."""

    def work(stop: threading.Event) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(5)
        os.kill(os.getpid(), signal.SIGINT)
        return 0

    with pytest.raises(KeyboardInterrupt):
        interruptible(work)


def test_what_breaks_because_of_the_signal_counts_as_cancelled() -> None:
    """A connection that dies because we were told to stop is no failure of the server; a refusal stays what it is."""

    def lose(stop: threading.Event) -> NoReturn:
        stop.set()
        raise UnavailableError("connection lost")

    def refuse(stop: threading.Event) -> NoReturn:
        stop.set()
        raise RefusedError("no", reason=Reason.AUTHENTICATION_FAILED)

    with pytest.raises(InterruptedRunError, match="connection lost"):
        interruptible(lose)
    with pytest.raises(RefusedError):
        interruptible(refuse)
