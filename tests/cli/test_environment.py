"""The stand-alone settings: what the classic variables mean, and every complaint at once."""

from __future__ import annotations

import pytest

from dbcustody.api.policy import Algorithm, Level, RowCounts
from dbcustody.cli.environment import read_standalone
from dbcustody.errors import InvalidSpecError

LEAST = {"DATABASE_URL": "postgresql://app@db/shop", "BACKUP_DIR": "/backups", "BACKUP_ENCRYPTION_KEY": "k" * 44}


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

    assert settings.encryption_key is None


def test_libpq_variables_are_taken_without_a_url() -> None:
    """PGHOST and its kin describe a database as well as a URL does; a URL wins over them."""
    libpq = {"PGHOST": "db", "PGDATABASE": "shop", "PGUSER": "app"}
    without_url = {name: value for name, value in LEAST.items() if name != "DATABASE_URL"}

    assert read_standalone(without_url | libpq).database_files == libpq
    assert read_standalone(LEAST | libpq).database_files == {"DATABASE_URL": LEAST["DATABASE_URL"]}


def test_bucket_takes_the_classic_aws_variables() -> None:
    """Credentials and region come from the variables that every AWS tool reads."""
    settings = read_standalone(
        {name: value for name, value in LEAST.items() if name != "BACKUP_DIR"}
        | {"BACKUP_S3_BUCKET": "b", "BACKUP_S3_PREFIX": "/a/b/", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "s3cret"}
        | {"AWS_REGION": "eu-north-1"}
    )

    assert settings.bucket is not None
    assert settings.bucket.prefix == "a/b"
    assert settings.bucket.region == "eu-north-1"
    assert "s3cret" not in repr(settings)
    assert LEAST["BACKUP_ENCRYPTION_KEY"] not in repr(settings)
