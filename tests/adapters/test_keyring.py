"""A keyring takes keys as people and Kubernetes write them down, and no key that is weaker than it looks."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.adapters.keyring import Keyring, make_keyring, parse_key, read_keyring
from dbcustody.errors import DbcustodyError
from dbcustody.reason import Reason
from dbcustody.repository.layout import check_key_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = bytes([200, *range(31)])
CANARY = b"correct-horse-battery-staple-32b"

strong_keys = st.binary(min_size=32, max_size=32).filter(lambda key: any(byte > 127 for byte in key))


@given(strong_keys, st.sampled_from([b"", b"\n", b"\r\n"]))
def test_every_way_of_writing_a_key_is_read(key: bytes, ending: bytes) -> None:
    """Raw, base64 and hex, with one line end or none, are the same key."""
    assert parse_key("k", key + ending) == key
    assert parse_key("k", base64.b64encode(key) + ending) == key
    assert parse_key("k", key.hex().encode() + ending) == key
    assert parse_key("k", key.hex().upper().encode() + ending) == key


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(b"", "is 0 bytes long", id="empty"),
        pytest.param(b"\n", "is 0 bytes long", id="only a newline"),
        pytest.param(KEY[:31], "is 31 bytes long", id="31 bytes"),
        pytest.param(KEY + b"x", "is 33 bytes long", id="33 bytes"),
        pytest.param(KEY + b"\n\n", "is 33 bytes long", id="two newlines"),
        pytest.param(base64.b64encode(KEY[:16]), "is 24 bytes long", id="128 bits in base64"),
        pytest.param(base64.b64encode(KEY + KEY), "is 88 bytes long", id="512 bits in base64"),
        pytest.param(KEY[:16].hex().encode(), "printable", id="128 bits in hex"),
        pytest.param(CANARY, "printable", id="a phrase"),
        pytest.param(base64.b64encode(CANARY), "printable", id="a phrase in base64"),
        pytest.param(CANARY.hex().encode(), "printable", id="a phrase in hex"),
        pytest.param(b" " + KEY.hex().encode(), "is 65 bytes long", id="leading space"),
    ],
)
def test_what_is_no_key_is_refused(content: bytes, complaint: str) -> None:
    """The complaint says the length or the weakness, what is right, and nothing of the content."""
    with pytest.raises(DbcustodyError, match=complaint) as caught:
        parse_key("k2026", content)
    assert caught.value.reason is Reason.KEY_INVALID
    assert "32 random bytes" in caught.value.message
    assert not content.strip() or content.strip().decode("latin-1") not in caught.value.message


@given(st.binary(max_size=100))
def test_whatever_is_accepted_is_a_key(content: bytes) -> None:
    """Random content gives 32 bytes or KeyInvalid."""
    assert outcome(content) in {32, Reason.KEY_INVALID}


def outcome(content: bytes) -> int | Reason:
    """Return the length of the key, or why there is none."""
    try:
        return len(parse_key("k", content))
    except DbcustodyError as error:
        return error.reason


def test_mounted_secret_is_read(tmp_path: Path) -> None:
    """In a projected volume keys are links, and Kubernetes' own links beside them are no keys."""
    folder = tmp_path / "..2026_01_31"
    folder.mkdir()
    (folder / "k2025").write_bytes(KEY[::-1])
    (folder / "k2026").write_text(KEY.hex() + "\n")
    (tmp_path / "..data").symlink_to(folder.name)
    for name in ("k2025", "k2026"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    keyring = read_keyring(tmp_path, "k2026", secret_name="keys")
    assert (keyring.active_key, keyring.key("k2025"), set(keyring.keys)) == (KEY, KEY[::-1], {"k2025", "k2026"})


def _empty(folder: Path) -> None:
    folder.mkdir()


def _only_links(folder: Path) -> None:
    (folder / "..2026").mkdir(parents=True)
    (folder / "..data").symlink_to("..2026")


def _a_file(folder: Path) -> None:
    folder.write_bytes(KEY)


def _nothing(_: Path) -> None:
    return


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(_nothing, id="nothing"),
        pytest.param(_empty, id="empty folder"),
        pytest.param(_only_links, id="empty Secret"),
        pytest.param(_a_file, id="a file"),
    ],
)
def test_missing_secret_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """The Secret that is missing or empty is named, and it is tried again."""
    make(tmp_path / "keys")
    with pytest.raises(DbcustodyError, match="keyring Secret 'shop-keys'") as caught:
        read_keyring(tmp_path / "keys", "k2026", secret_name="shop-keys")
    assert caught.value.reason is Reason.SECRET_NOT_FOUND


def test_secret_that_changes_under_the_reader_is_tried_again(tmp_path: Path) -> None:
    """A link that leads nowhere, as while Kubernetes swaps the folder, counts as missing."""
    (tmp_path / "k2026").symlink_to("..data/k2026")
    with pytest.raises(DbcustodyError) as caught:
        read_keyring(tmp_path, "k2026", secret_name="keys")
    assert caught.value.reason is Reason.SECRET_NOT_FOUND


def test_missing_active_key_is_named_with_those_there_are(tmp_path: Path) -> None:
    """The message says which key is wanted and which there are."""
    (tmp_path / "k2025").write_bytes(KEY)
    with pytest.raises(DbcustodyError, match=r"no key 'k2026' \(it has k2025\)") as caught:
        read_keyring(tmp_path, "k2026", secret_name="keys")
    assert caught.value.reason is Reason.KEY_MISSING
    with pytest.raises(DbcustodyError, match="it has none"):
        Keyring("k1", {}).key("k1")


@pytest.mark.parametrize(
    "name", [pytest.param(".hidden", id="hidden"), pytest.param("a" * 64, id="long"), pytest.param("a b", id="space")]
)
def test_names_that_cannot_be_key_ids_are_refused(name: str) -> None:
    """A key id becomes part of an object's name, so the repository's grammar holds here too."""
    with pytest.raises(DbcustodyError, match="cannot be a key id") as caught:
        make_keyring({name: KEY}, name)
    assert caught.value.reason is Reason.KEY_INVALID


@given(st.from_regex(r"[A-Za-z0-9._-]{1,70}", fullmatch=True))
def test_keyring_and_repository_agree_on_key_ids(key_id: str) -> None:
    """What one takes the other takes."""

    def accepts(check: Callable[[], object]) -> bool:
        try:
            check()
        except DbcustodyError:
            return False
        return True

    assert accepts(lambda: check_key_id(key_id)) is accepts(lambda: make_keyring({key_id: KEY}, key_id))


def test_one_bad_key_refuses_the_keyring(tmp_path: Path) -> None:
    """A keyring with a broken entry is refused whole, so that it is noticed before the key is needed."""
    (tmp_path / "k2026").write_bytes(KEY)
    (tmp_path / "k2025").write_bytes(b"short")
    with pytest.raises(DbcustodyError, match="key 'k2025'") as caught:
        read_keyring(tmp_path, "k2026", secret_name="keys")
    assert caught.value.reason is Reason.KEY_INVALID


def test_endless_file_is_no_key(tmp_path: Path) -> None:
    """No more than a page of a key file is read."""
    (tmp_path / "k2026").write_bytes(bytes(10**6))
    with pytest.raises(DbcustodyError, match="is 4096 bytes long"):
        read_keyring(tmp_path, "k2026", secret_name="keys")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_unreadable_file_is_named(open_folder: Path) -> None:
    """A key file that this user may not read is named, not called missing."""
    (open_folder / "k2026").write_bytes(KEY)
    (open_folder / "k2026").chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        with pytest.raises(DbcustodyError, match="key 'k2026': its file cannot be read") as caught:
            read_keyring(open_folder, "k2026", secret_name="keys")
    finally:
        os.seteuid(user)
    assert caught.value.reason is Reason.KEY_INVALID


def test_keyring_shows_no_key() -> None:
    """Its text has the active key's id and nothing else."""
    keyring = make_keyring({"k1": KEY}, "k1")
    assert repr(keyring) == "Keyring(active_key_id='k1')"
