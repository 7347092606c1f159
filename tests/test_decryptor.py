"""The decryptor, copied alone: it gives back exactly what was backed up, or says what is wrong and leaves nothing behind."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbcustody import decryptor

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).parent / "repository" / "vectors"
KEY_FILE = VECTORS / "k2026.key"
ATTEMPT = "0b9c3f52-6c0e-4a55-8f3a-2f4d5e6a7b8c"
SIZES = {"schema.pgc": 70, "data-000.pgc": 0, "data-001.pgc": 49, "catalogue.json": 791}
ANY_FIXTURE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Return the folder of the published backup, in a copy of its storage that may be changed."""
    shutil.copytree(VECTORS / "storage", tmp_path / "storage")
    (manifest,) = (tmp_path / "storage").glob("*/backups/*/manifest.json")
    return manifest.parent


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Return where to write; it is not there yet."""
    return tmp_path / "output"


def run(*arguments: str | Path) -> int:
    """Run the command in this process."""
    return decryptor.main([str(argument) for argument in arguments])


def open_all(backup: Path, output: Path, *more: str | Path, key_file: Path = KEY_FILE) -> int:
    """Run it on a whole backup."""
    return run("--backup", backup, "--key-file", key_file, "--output", output, *more)


def written(output: Path) -> dict[str, int]:
    """Return the sizes of what was written."""
    return {path.name: path.stat().st_size for path in output.iterdir()} if output.exists() else {}


def change(path: Path, index: int = -1) -> None:
    """Flip one bit."""
    data = bytearray(path.read_bytes())
    data[index] ^= 1
    path.write_bytes(data)


def rewrite(path: Path, **changes: Any) -> None:
    """Change fields of a document, and keep its form; None takes a field away."""
    document = json.loads(path.read_bytes()) | changes
    path.write_bytes(decryptor.canonical({name: value for name, value in document.items() if value is not None}))


def test_file_stands_alone(backup: Path, output: Path, tmp_path: Path) -> None:
    """Copied anywhere and run by itself, it opens the published backup; it imports the standard library and cryptography only."""
    alone = tmp_path / "alone" / "dbcustody_decrypt.py"
    alone.parent.mkdir()
    shutil.copy(str(decryptor.__file__), alone)
    arguments = ["--backup", str(backup), "--key-file", str(KEY_FILE), "--key-id", "k2026", "--output", str(output)]
    done = subprocess.run([sys.executable, "-I", str(alone), *arguments], check=True, capture_output=True, text=True)
    assert written(output) == SIZES
    assert sorted(f"{name}: {size} bytes, authentic" for name, size in SIZES.items()) == done.stdout.splitlines()
    tree = ast.parse(alone.read_text(), feature_version=(3, 11))
    imported = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - sys.stdlib_module_names == {"cryptography"}


def test_content_is_what_was_closed(backup: Path, output: Path) -> None:
    """Archives come back byte for byte, parts are put together, the catalogue is readable, and only the owner may read them."""
    assert open_all(backup, output) == 0
    assert (output / "schema.pgc").read_bytes() == bytes(range(70))
    assert (output / "data-001.pgc").read_bytes() == bytes(range(33)) + bytes(range(16))
    assert json.loads((output / "catalogue.json").read_bytes())["database"]["owner"] == "shop_owner"
    assert {stat.S_IMODE(path.stat().st_mode) for path in output.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, id=name) for name in ("schema.pgc", "data-000.pgc", "data-001.pgc.001", "catalogue.json")],
)
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(change, id="last bit"),
        pytest.param(lambda path: change(path, 0), id="first bit"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="cut"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes() + b"\x00"), id="longer"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:64]), id="header only"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.unlink(), id="missing"),
        pytest.param(lambda path: shutil.copy(path.with_name("data-001.pgc"), path), id="another object"),
    ],
)
def test_damaged_object_is_refused_and_the_others_are_saved(
    backup: Path, output: Path, capsys: pytest.CaptureFixture[str], *, name: str, spoil: Callable[[Path], None]
) -> None:
    """The damaged file is not written, not even in part; the others are, and the status says that something is wrong."""
    spoil(backup / ATTEMPT / name)
    assert open_all(backup, output) == 1
    whole = name.removesuffix(".001")
    assert written(output) == {file: size for file, size in SIZES.items() if file != whole}
    assert f"error: {name}: " in capsys.readouterr().err


@ANY_FIXTURE
@given(data=st.data())
def test_no_flipped_bit_of_any_document_or_object_passes(backup: Path, output: Path, data: st.DataObject) -> None:
    """Wherever one bit flips in manifest, wrapped key or object, the answer is 1, and what was written is true."""
    names = ["manifest.json", *(f"{ATTEMPT}/{name}" for name in (*SIZES, "data-001.pgc.001", "key.k2026.json"))]
    path = backup / data.draw(st.sampled_from(names))
    good = path.read_bytes()
    bad = bytearray(good)
    bad[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bad)
    try:
        assert open_all(backup, output) == 1
        assert written(output).items() <= SIZES.items()
    finally:
        path.write_bytes(good)
        shutil.rmtree(output, ignore_errors=True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@ANY_FIXTURE
@given(data=st.binary() | st.builds(decryptor.canonical, st.dictionaries(st.text(), json_values)), key=st.booleans())
def test_random_documents_are_refused(backup: Path, output: Path, data: bytes, key: bool) -> None:  # noqa: FBT001 - a choice
    """Whatever stands in place of the manifest or the wrapped key, the answer is 1 and no traceback."""
    path = backup / ATTEMPT / "key.k2026.json" if key else backup / "manifest.json"
    path.write_bytes(data)
    assert open_all(backup, output) == 1


@ANY_FIXTURE
@given(
    name=st.sampled_from(sorted(json.loads(next(VECTORS.glob("storage/*/backups/*/manifest.json")).read_bytes()))),
    value=json_values,
)
def test_random_fields_of_the_manifest_are_refused(backup: Path, output: Path, name: str, value: object) -> None:
    """Every field is either checked by itself or signed."""
    path = backup / "manifest.json"
    good = path.read_bytes()
    rewrite(path, **{name: value})
    if path.read_bytes() != good:
        assert open_all(backup, output) == 1
    path.write_bytes(good)


def without_encryption(backup: Path) -> None:
    """Make of the backup one that was never encrypted."""
    manifest = json.loads((backup / "manifest.json").read_bytes())
    for item in manifest["objects"]:
        data = bytes(item["plaintextBytes"])
        (backup / ATTEMPT / item["name"]).write_bytes(data)
        item |= {"bytes": len(data), "chunks": 0, "sha256": hashlib.sha256(data).hexdigest()}
    rewrite(backup / "manifest.json", objects=manifest["objects"], encryption=None, mac=None)
    (backup / ATTEMPT / "key.k2026.json").unlink()


def test_backup_without_encryption_is_checked_and_said_so(
    backup: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Digests are held against the manifest, and the person is told what that is worth; given a key, it is refused."""
    without_encryption(backup)
    assert open_all(backup, output) == 1
    assert "nothing is encrypted" in capsys.readouterr().err
    assert run("--backup", backup, "--output", output) == 0
    assert written(output) == SIZES
    said = capsys.readouterr()
    assert "nobody can say who wrote it" in said.err
    assert "schema.pgc: 70 bytes, digest fits" in said.out
    shutil.rmtree(output)
    change(backup / ATTEMPT / "schema.pgc")
    assert run("--backup", backup, "--output", output) == 1
    assert "schema.pgc" not in written(output)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(os.urandom(32), "another key", id="another key"),
        pytest.param(b"correct-horse-battery-staple-32b", "is no key", id="a phrase"),
        pytest.param(b"short", "is no key", id="too short"),
    ],
)
def test_wrong_key_is_named(
    backup: Path, output: Path, capsys: pytest.CaptureFixture[str], *, content: bytes, complaint: str
) -> None:
    """A wrong key opens nothing, and nothing of it is quoted."""
    key_file = backup / "key"
    key_file.write_bytes(content)
    assert open_all(backup, output, key_file=key_file) == 1
    said = capsys.readouterr().err
    assert complaint in said
    assert "horse" not in said


def test_every_way_of_writing_a_key_opens(backup: Path, tmp_path: Path) -> None:
    """The same forms are taken as in a keyring Secret."""
    raw = bytes.fromhex(KEY_FILE.read_text())
    for number, content in enumerate((raw, raw + b"\n", raw.hex().upper().encode(), base64.b64encode(raw) + b"\r\n")):
        (tmp_path / "key").write_bytes(content)
        assert open_all(backup, tmp_path / f"output-{number}", key_file=tmp_path / "key") == 0


def test_key_is_asked_for(backup: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a key, and with several to choose from, it says what it needs."""
    assert run("--backup", backup, "--output", output) == 1
    assert "give the key with --key-file" in capsys.readouterr().err
    shutil.copy(backup / ATTEMPT / "key.k2026.json", backup / ATTEMPT / "key.k2027.json")
    assert open_all(backup, output) == 1
    assert "closed for: k2026, k2027" in capsys.readouterr().err
    assert open_all(backup, output, "--key-id", "k2025") == 1
    assert "closed for: k2026, k2027" in capsys.readouterr().err
    assert open_all(backup, output, "--key-id", "k2026") == 0


def test_nothing_is_overwritten(backup: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there stays as it is, a half-written one too; the rest is written."""
    output.mkdir()
    (output / "schema.pgc").write_text("mine")
    (output / "data-001.pgc.partial").write_text("mine")
    assert open_all(backup, output) == 1
    assert written(output) == {"schema.pgc": 4, "data-001.pgc.partial": 4, "data-000.pgc": 0, "catalogue.json": 791}
    assert capsys.readouterr().err.count("error: ") == 2


def test_single_files_are_opened(backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file can be asked for; its parts come with it. One that is not there is named."""
    assert open_all(backup, tmp_path / "one", "--object", "data-001.pgc") == 0
    assert written(tmp_path / "one") == {"data-001.pgc": 49}
    assert open_all(backup, tmp_path / "two", "--object", "data-009.pgc") == 1
    assert "data-009.pgc: stands for no file" in capsys.readouterr().err


def test_objects_downloaded_one_by_one_are_opened(backup: Path, output: Path, tmp_path: Path) -> None:
    """Without the layout: the manifest, the wrapped key and the object are named each."""
    flat = tmp_path / "flat"
    flat.mkdir()
    shutil.copy(backup / ATTEMPT / "schema.pgc", flat)
    documents: list[str | Path] = [
        "--manifest",
        backup / "manifest.json",
        "--wrapped-key",
        backup / ATTEMPT / "key.k2026.json",
    ]
    assert run(*documents, "--key-file", KEY_FILE, "--object", flat / "schema.pgc", "--output", output) == 0
    assert written(output) == {"schema.pgc": 70}


def test_manifest_that_lacks_a_part_is_refused(backup: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An archive is never put together with a hole in it."""
    without_encryption(backup)
    objects = json.loads((backup / "manifest.json").read_bytes())["objects"]
    rewrite(backup / "manifest.json", objects=[item for item in objects if item["name"] != "data-001.pgc"])
    assert run("--backup", backup, "--output", output) == 1
    assert "data-001.pgc: the manifest lacks a part of it" in capsys.readouterr().err


def first(**changes: Any) -> Callable[[list[dict[str, Any]]], list[Any]]:
    """Return a change of the manifest's first object."""
    return lambda objects: [objects[0] | changes, *objects[1:]]


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        pytest.param(lambda objects: [*objects, objects[0]], "names an object twice", id="one name twice"),
        pytest.param(lambda objects: [*objects, "schema.pgc"], "must be JSON objects", id="a text"),
        pytest.param(first(name="../../schema.pgc"), "is no object of a backup", id="name that climbs"),
        pytest.param(first(bytes=-1), "bytes is missing or of the wrong kind", id="negative size"),
        pytest.param(first(sha256="é"), "sha256 is missing or of the wrong kind", id="digest in another script"),
        pytest.param(first(plaintextBytes=1), "another amount of data", id="other size of the content"),
        pytest.param(lambda _: {"attempt": "../../../etc"}, "attempt is no folder's name", id="attempt that climbs"),
        pytest.param(lambda _: {"encryption": "ROT13"}, "does not know", id="other encryption"),
        pytest.param(lambda _: {"encryption": ["x"]}, "does not know", id="encryption of another kind"),
        pytest.param(lambda _: {"format": 2}, "is not of format 1", id="newer format"),
        pytest.param(lambda _: {"ledgerWatermark": "4"}, "ledgerWatermark is missing", id="odd watermark"),
        pytest.param(first(chunks=1), "another amount of data", id="chunks without encryption"),
    ],
)
def test_unsigned_manifest_is_not_trusted(
    backup: Path, output: Path, capsys: pytest.CaptureFixture[str], *, edit: Callable[..., Any], complaint: str
) -> None:
    """Without encryption anybody may have written the manifest: nothing in it leads outside the folder or is believed unchecked."""
    without_encryption(backup)
    changes = edit(json.loads((backup / "manifest.json").read_bytes())["objects"])
    (backup.parent.parent / "ledger").mkdir()
    rewrite(backup / "manifest.json", **(changes if isinstance(changes, dict) else {"objects": changes}))
    assert run("--backup", backup, "--output", output) == 1
    assert complaint in capsys.readouterr().err


def test_folder_without_hard_links_is_written_to(backup: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems have no hard links."""

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(source), None, str(target))

    monkeypatch.setattr(os, "link", refuse)
    assert open_all(backup, output) == 0
    assert written(output) == SIZES


def test_file_that_appears_meanwhile_is_not_overwritten(
    backup: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's file of the same name wins, even when it comes at the last moment."""
    link = os.link

    def late(source: Path, target: Path) -> None:
        Path(target).write_text("theirs")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert open_all(backup, output) == 1
    assert written(output) == dict.fromkeys(SIZES, len("theirs"))


def test_warnings_tell_what_the_data_is(backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing ledger, a ledger past the watermark and a tombstone are each said; a ledger within it is not."""
    assert open_all(backup, tmp_path / "1") == 0
    assert "no erasure ledger was found" in capsys.readouterr().err
    ledger = backup.parent.parent / "ledger"
    ledger.mkdir()
    for name in ("000000000004.json", "checkpoint-9.json", "000000000099.txt"):
        (ledger / name).write_text("{}")
    assert open_all(backup, tmp_path / "2") == 0
    assert capsys.readouterr().err == ""
    (ledger / "000000000005.json").write_text("{}")
    (backup / "tombstone.json").write_text("{}")
    assert open_all(backup, tmp_path / "3") == 0
    said = capsys.readouterr().err
    assert "1 entries of the erasure ledger are newer than this backup (after 4)" in said
    assert "it was deleted" in said
    assert open_all(backup, tmp_path / "4", "--ledger", tmp_path) == 0
    assert "ledger" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="nothing"),
        pytest.param(["--backup", "b"], id="no output"),
        pytest.param(["--backup", "b", "--manifest", "m", "--output", "o"], id="both ways"),
        pytest.param(["--manifest", "m", "--output", "o"], id="manifest without an object"),
        pytest.param(["--manifest", "m", "--object", "x", "--key-file", "k", "--output", "o"], id="no wrapped key"),
        pytest.param(["--backup", "b", "--wrapped-key", "w", "--key-file", "k", "--output", "o"], id="wrapped key too much"),
    ],
)  # fmt: skip
def test_command_lines_that_cannot_be_meant_end_with_2(arguments: list[str]) -> None:
    """Usage errors are told apart from damage."""
    with pytest.raises(SystemExit) as caught:
        decryptor.main(arguments)
    assert caught.value.code == 2


def test_missing_folder_is_named(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, and the file that was looked for."""
    assert open_all(output / "nowhere", output) == 1
    assert "manifest.json" in capsys.readouterr().err
