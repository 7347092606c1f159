"""The stand-alone settings: what the classic variables mean, and every complaint at once."""

from __future__ import annotations

import pytest

from dbcustody.api.policy import Algorithm, Level, RowCounts
from dbcustody.cli.environment import read_standalone
from dbcustody.errors import InvalidSpecError

LEAST = {"DATABASE_URL": "postgresql://app@db/shop", "BACKUP_DIR": "/backups", "BACKUP_ENCRYPTION_KEY": "c8" * 32}


def test_least_settings_have_safe_defaults() -> None:
    """Three variables are enough, and what is left out is the safe choice."""
    settings = read_standalone(LEAST)

    assert settings.directory == "/backups"
    assert settings.compression.algorithm is Algorithm.ZSTD
    assert settings.level is Level.READ
    assert settings.row_counts is RowCounts.EXACT
    assert settings.retention.keep_within_days == 7
    assert settings.retention.keep_last == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"DATABASE_URL": ""}, "DATABASE_URL: is missing", id="no-database"),
        pytest.param({"BACKUP_DIR": ""}, "exactly one must be set", id="no-storage"),
        pytest.param({"BACKUP_S3_BUCKET": "b"}, "exactly one must be set", id="two-storages"),
        pytest.param({"BACKUP_ENCRYPTION_KEY": ""}, "BACKUP_ENCRYPTION_ENABLED=false", id="encryption-not-declined"),
        pytest.param({"BACKUP_ENCRYPTION_ENABLED": "perhaps"}, "must be true or false", id="not-a-flag"),
        pytest.param({"BACKUP_COMPRESSION": "rar"}, "must be one of Zstd, Gzip, Lz4, None", id="unknown-algorithm"),
        pytest.param({"BACKUP_RETENTION_DAYS": "-1"}, "must be a whole number from 0", id="negative-days"),
        pytest.param({"BACKUP_KEEP_LAST": "0"}, "must be a whole number from 1", id="keep-nothing"),
        pytest.param(
            {"DATABASE_URL": "mysql://app@db/shop"}, "^DATABASE_URL: .*must be postgresql", id="other-database"
        ),
        pytest.param(
            {"DATABASE_URL": "postgresql://app@db"}, "^DATABASE_URL: .*has no database; add it$", id="no-name"
        ),
        pytest.param({"DATABASE_URL": "postgresql://db/shop"}, "^DATABASE_URL: .*has no user; add it$", id="no-user"),
        pytest.param(
            {"BACKUP_ENCRYPTION_KEY": "c4nary"}, "^BACKUP_ENCRYPTION_KEY: is 6 bytes long; must be", id="short-key"
        ),
        pytest.param({"BACKUP_ENCRYPTION_KEY_ID": "a/b"}, "^BACKUP_ENCRYPTION_KEY_ID: 'a/b' cannot", id="odd-key-id"),
        pytest.param({"DBCUSTODY_CUSTODY_ID": "Web"}, "^DBCUSTODY_CUSTODY_ID: 'Web' cannot stand", id="odd-custody-id"),
        pytest.param({"BACKUP_TIME_ZONE": "Mars/Base"}, "^BACKUP_TIME_ZONE: must be a name", id="unknown-zone"),
        pytest.param({"BACKUP_TIME_ZONE": "../x"}, "^BACKUP_TIME_ZONE: must be a name", id="zone-that-is-a-path"),
        pytest.param(
            {"RESTORE_TEST_URL": "postgresql://db"}, "^RESTORE_TEST_URL: .*has no", id="test-server-of-nobody"
        ),
        pytest.param({"RESTORE_TEST_LOCALE_FALLBACK": "D"}, "must be one of Fail, C", id="no-such-fallback"),
        pytest.param({"BACKUP_WAIT_SECONDS": "ever"}, "^BACKUP_WAIT_SECONDS: must be", id="no-number-of-seconds"),
    ],
)
def test_each_mistake_is_named(changes: dict[str, str], complaint: str) -> None:
    """A wrong variable is named with what is allowed."""
    with pytest.raises(InvalidSpecError, match=complaint):
        read_standalone(LEAST | changes)


def test_all_mistakes_come_at_once() -> None:
    """Nobody has to run the command once per mistake."""
    with pytest.raises(InvalidSpecError) as caught:
        read_standalone({"BACKUP_COMPRESSION_LEVEL": "fast"})

    lines = caught.value.message.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "BACKUP_DIR, BACKUP_S3_BUCKET",
        "DATABASE_URL",
        "BACKUP_ENCRYPTION_KEY",
        "BACKUP_COMPRESSION_LEVEL",
    ]


def test_encryption_is_declined_only_in_words() -> None:
    """Without a key the settings are valid only when that was said."""
    settings = read_standalone(LEAST | {"BACKUP_ENCRYPTION_KEY": "", "BACKUP_ENCRYPTION_ENABLED": "false"})

    assert settings.keyring is None


def test_libpq_variables_are_taken_without_a_url() -> None:
    """PGHOST and its kin describe a database as well as a URL does; a URL wins over them."""
    libpq = {"PGHOST": "db", "PGDATABASE": "shop", "PGUSER": "app"}
    without_url = {name: value for name, value in LEAST.items() if name != "DATABASE_URL"}

    found = read_standalone(without_url | libpq | {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/ca.pem"}).database
    assert found is not None
    assert (found.host, found.database, found.user, found.ca_file) == ("db", "shop", "app", "/ca.pem")
    url = read_standalone(LEAST | libpq | {"PGHOST": "elsewhere"}).database
    assert url is not None
    assert url.host == "db"


def test_bucket_takes_the_classic_aws_variables() -> None:
    """Credentials and region come from the variables that every AWS tool reads."""
    settings = read_standalone(
        {name: value for name, value in LEAST.items() if name != "BACKUP_DIR"}
        | {
            "BACKUP_S3_BUCKET": "b",
            "BACKUP_S3_PREFIX": "/a/b/",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "s3cret",
        }
        | {"AWS_REGION": "eu-north-1"}
    )

    assert settings.bucket is not None
    assert settings.bucket.prefix == "a/b"
    assert settings.bucket.region == "eu-north-1"
    assert "s3cret" not in repr(settings)
    assert repr(bytes.fromhex(LEAST["BACKUP_ENCRYPTION_KEY"])) not in repr(settings)


@pytest.mark.parametrize(
    ("given", "credentials"),
    [
        pytest.param({"BACKUP_S3_ACCESS_KEY_ID": "a", "BACKUP_S3_SECRET_ACCESS_KEY": "b"}, ("a", "b", None), id="own"),
        pytest.param({}, ("x", "y", "z"), id="aws"),
    ],
)
def test_credentials_are_never_one_half_of_each(given: dict[str, str], credentials: tuple[str | None, ...]) -> None:
    """Our own pair wins as a pair: neither AWS's secret nor its session token is mixed into it."""
    aws = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_SESSION_TOKEN": "z"}
    bucket = read_standalone({**LEAST, "BACKUP_DIR": "", "BACKUP_S3_BUCKET": "b", **aws, **given}).bucket

    assert bucket is not None
    assert (bucket.access_key_id, bucket.secret_access_key, bucket.session_token) == credentials


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"BACKUP_S3_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "c4nary"}, id="half-a-pair"),
        pytest.param({"BACKUP_S3_ENDPOINT": "https://me:c4nary@s3/"}, id="credentials-in-endpoint"),
    ],
)
def test_wrong_bucket_settings_are_named_without_the_secret(given: dict[str, str]) -> None:
    """What S3 could not take is told before anything is sent, in one line, and quotes no secret."""
    with pytest.raises(InvalidSpecError, match=r"^BACKUP_S3_\*: ") as caught:
        read_standalone({**LEAST, "BACKUP_DIR": "", "BACKUP_S3_BUCKET": "b", **given})
    assert "c4nary" not in caught.value.message


def test_looking_needs_no_database_when_the_identity_is_known() -> None:
    """Whoever lists or verifies on another machine gives the custody id instead of a database."""
    without = {name: text for name, text in LEAST.items() if name != "DATABASE_URL"}

    assert read_standalone(without | {"DBCUSTODY_CUSTODY_ID": "web.shop"}, needs_database=False).database is None
    with pytest.raises(InvalidSpecError, match="DATABASE_URL: is missing"):
        read_standalone(without, needs_database=False)


def test_key_id_is_env_unless_it_is_said() -> None:
    """A storage that a cluster writes is read with the id that its key has there."""
    keyrings = [read_standalone(LEAST | more).keyring for more in ({}, {"BACKUP_ENCRYPTION_KEY_ID": "k2026"})]

    assert [keyring.active_key_id for keyring in keyrings if keyring] == ["env", "k2026"]
