"""Some thousand changed documents for every reader, as `make fuzz` tries millions; and a reader that forgives would be found by them."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

import pytest

from dbcustody import decryptor
from dbcustody.adapters.envelope import DataKey
from dbcustody.repository import fact
from dbcustody.repository.canonical import parse
from fuzz import campaign, plain, sealed, spoken, stock
from fuzz.__main__ import main
from fuzz.campaign import TARGETS, Slice, check_soundness, file_name, run_slice, slices
from fuzz.target import FindingError, Outcome, Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED = 4
INPUTS = 2_000
SLOW_INPUTS = 200
"""For a reader of a whole storage."""


def tried(name: str, inputs: int) -> campaign.Tally:
    """Return what came of some inputs; the same ones each time."""
    return run_slice(Slice(name, SEED, 0, inputs))


@pytest.mark.parametrize("name", TARGETS)
def test_no_changed_document_passes(name: str) -> None:
    """Each is refused in a reader's own words; only where nothing is signed can it be another sound document."""
    tally = tried(name, SLOW_INPUTS if name.startswith("stock") else INPUTS)
    assert [complaint for complaint, _ in tally.findings] == []
    assert tally.outcomes[Outcome.REFUSED] > 0 or not TARGETS[name].refusals


def test_every_sound_document_is_taken() -> None:
    """A reader that refuses everything would pass for a strict one."""
    check_soundness(list(TARGETS.values()))
    strict = Target(
        name="strict", read=sealed.read_wrapped_key, corpus=(b"{}",), mutate=lambda *_: b"", refusals=sealed.ENGINE
    )
    with pytest.raises(FindingError, match="refuses what is sound"):
        check_soundness([strict])


def forgiving_chunks(stored: list[bytes], _: bytes, __: str) -> list[bytes]:
    """Give out what was never authenticated."""
    return list(stored)


BREAKAGES = [
    pytest.param("envelope", sealed, "decrypt", forgiving_chunks, id="envelope"),
    pytest.param("object-by-hand", decryptor, "read_header", lambda data, _: (4, data[6:13]), id="header"),
    pytest.param("manifest-by-hand", decryptor, "authenticate", lambda *_: None, id="signature of the manifest"),
    pytest.param("manifest", DataKey, "proves", lambda *_, **__: True, id="signature"),
    pytest.param("fact-release", DataKey, "proves", lambda *_, **__: True, id="signature of a fact"),
    pytest.param("wrapped-key-by-hand", decryptor, "read_document", lambda path: json.loads(path.data), id="spelling"),
    pytest.param("custody", fact, "parse_exactly", parse, id="form"),
    pytest.param("storage-key", plain, "custody_of", lambda key: key.partition("/")[0], id="grammar"),
    pytest.param("key-file", decryptor, "PRINTABLE", frozenset(range(256)), id="two readers"),
    pytest.param("job-log", spoken, "read_progress", json.loads, id="another exception"),
    pytest.param("stock-release", stock.Keyholder, "fact", lambda *_: "Authentic", id="authority"),
]


@pytest.mark.parametrize(("name", "owner", "attribute", "broken"), BREAKAGES)
def test_a_reader_that_forgives_is_found(
    monkeypatch: pytest.MonkeyPatch, *, name: str, owner: object, attribute: str, broken: object
) -> None:
    """With one guard taken away, a few hundred inputs are enough."""
    monkeypatch.setattr(owner, attribute, broken)
    assert tried(name, 1_000).findings


def endless_message(_: bytes) -> None:
    """Quote everything."""
    raise LookupError("x" * 9000)


@pytest.mark.parametrize(
    ("read", "complaint"),
    [
        pytest.param(json.loads, "lets JSONDecodeError escape", id="exception"),
        pytest.param(endless_message, "endless message", id="message"),
        pytest.param(lambda _: [1 for _ in iter(int, 1)], "processor time", id="time"),
    ],
)
def test_what_must_not_happen_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, *, read: Callable[[bytes], None], complaint: str
) -> None:
    """An exception that nobody announced, a message without end, a reader without end."""
    monkeypatch.setattr("fuzz.target.MOST_SECONDS", 0.2)
    target = Target(name="t", read=read, corpus=(b"a",), mutate=lambda *_: b"b", refusals=(LookupError,))
    monkeypatch.setitem(TARGETS, "t", target)
    assert complaint in tried("t", 1).findings[0][0]


def test_the_same_seed_tries_the_same_inputs() -> None:
    """What a seed found, it finds again, however many processes shared the work."""
    target = TARGETS["manifest"]
    first, again, other = (target.changed(Slice("manifest", seed, 0, 1).random) for seed in (7, 7, 8))
    assert first == again != other
    pieces = slices(list(TARGETS.values()), 7, 100_000)
    assert sum(piece.inputs for piece in pieces) >= 100_000
    assert {piece.target for piece in pieces} == set(TARGETS)
    assert len({(piece.target, piece.number) for piece in pieces}) == len(pieces)


def test_a_finding_is_kept_and_can_be_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command returns 1, names the seed, keeps the input, and takes it again."""
    monkeypatch.setattr(decryptor, "authenticate", lambda *_: None)
    words = ["--inputs", "300", "--seed", "5", "--processes", "1", "--target", "manifest-by-hand"]
    assert main([*words, "--findings", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "seed 5" in said
    assert "FINDING manifest-by-hand: takes a signed manifest that nobody signed" in said
    kept = sorted(str(path) for path in tmp_path.iterdir())
    assert main(["--replay", *kept]) == 1
    assert capsys.readouterr().out.count("FINDING") == len(kept) > 0
    monkeypatch.undo()
    assert main(["--replay", *kept]) == 0


def test_mutations_reach_behind_the_first_look() -> None:
    """Not all changes die as broken JSON: some are another document in its one form, which only a signature tells apart."""
    target, random = TARGETS["manifest"], Random(1)  # noqa: S311 - it must come again
    outcomes = [target.outcome(target.changed(random)) for _ in range(500)]
    assert outcomes.count(Outcome.TAKEN) > 10
    assert file_name("manifest", b"").startswith("manifest.")
