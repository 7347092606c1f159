"""The variables of the commands that people type, with what each means: for docs/reference, and held against what is really read."""

from __future__ import annotations

from typing import Final

VARIABLES: Final[dict[str, str]] = {
    "DATABASE_URL": "the database: `postgresql://user:password@host:5432/database`, also with Prisma's parameters. "
    "The connection is encrypted unless `sslmode=disable` is said. Wins over libpq's variables",
    "PGHOST": "libpq's: host of the server, when there is no `DATABASE_URL`",
    "PGPORT": "libpq's: its port",
    "PGUSER": "libpq's: the role",
    "PGPASSWORD": "libpq's: its password",
    "PGDATABASE": "libpq's: the database; without it libpq's other variables are not looked at",
    "PGSSLMODE": "libpq's: how the connection is encrypted and the server verified",
    "PGSSLROOTCERT": "libpq's: the file with the authority to trust",
    "PGTARGETSESSIONATTRS": "libpq's: which of several servers is meant",
    "RESTORE_URL": "`dbcustody restore`: the new database, anywhere; as `--to`, but in no list of processes",
    "RESTORE_TEST_URL": "level Restore: a server where a throw-away database may be made",
    "RESTORE_TEST_LOCALE_FALLBACK": "`C`: that database does with the locale C where the server lacks the backup's (`Fail`)",
    "BACKUP_DIR": "the folder of the backups; exactly one of this and `BACKUP_S3_BUCKET`",
    "BACKUP_S3_BUCKET": "the bucket of the backups",
    "BACKUP_S3_PREFIX": "the folder in the bucket; everything below it is dbcustody's. Without it the whole bucket",
    "BACKUP_S3_REGION": "the bucket's region; else `AWS_REGION`, `AWS_DEFAULT_REGION`",
    "BACKUP_S3_ENDPOINT": "scheme, host and port of a store that is not Amazon's",
    "BACKUP_S3_CA_FILE": "the authority of the store's certificate; else `AWS_CA_BUNDLE`",
    "BACKUP_S3_ACCESS_KEY_ID": "who we are at the store; with its secret. Without both: `AWS_ACCESS_KEY_ID` and its secret, "
    "else what boto3 finds in its surroundings",
    "BACKUP_S3_SECRET_ACCESS_KEY": "the secret of `BACKUP_S3_ACCESS_KEY_ID`",
    "BACKUP_S3_SESSION_TOKEN": "its session token, if it has one",
    "AWS_REGION": "the bucket's region, unless `BACKUP_S3_REGION` says it",
    "AWS_DEFAULT_REGION": "the same, unless `AWS_REGION` says it",
    "AWS_CA_BUNDLE": "the authority of the store's certificate, unless `BACKUP_S3_CA_FILE` names it",
    "AWS_ACCESS_KEY_ID": "who we are at the store, unless one of `BACKUP_S3_ACCESS_KEY_ID` and its secret is set",
    "AWS_SECRET_ACCESS_KEY": "its secret",
    "AWS_SESSION_TOKEN": "its session token",
    "BACKUP_ENCRYPTION_KEY": "32 random bytes in base64 or hex. Keep it: without it no backup can be read",
    "BACKUP_ENCRYPTION_KEY_ID": "by which name the key is known in the storage (`env`)",
    "BACKUP_ENCRYPTION_ENABLED": "`false`: backups that anybody can read (`true`)",
    "BACKUP_RETENTION_DAYS": "how many days every backup stays (7)",
    "BACKUP_KEEP_LAST": "how many of the newest stay (1)",
    "BACKUP_KEEP_DAILY": "for how many days one stays (0)",
    "BACKUP_KEEP_WEEKLY": "for how many weeks one stays (0)",
    "BACKUP_KEEP_MONTHLY": "for how many months one stays (0)",
    "BACKUP_TIME_ZONE": "the time zone of those days, weeks and months (`Etc/UTC`)",
    "BACKUP_VERIFICATION": "`Read`: the archive is read back and its rows counted; `Checksum` is cheaper and proves less; `Restore` also "
    "restores it at `RESTORE_TEST_URL` (`Read`)",
    "BACKUP_COMPRESSION": "`Zstd`, `Gzip`, `Lz4` or `None` (`Zstd`); clients before 16 take Gzip and say so",
    "BACKUP_COMPRESSION_LEVEL": "how hard it tries (1)",
    "BACKUP_PARALLELISM": "how many streams dump at the same time, from one snapshot (1)",
    "BACKUP_ROW_COUNTS": "`Exact`: every row is counted in the dump's own snapshot; `None` (`Exact`)",
    "BACKUP_WAIT_SECONDS": "how long another backup or a migration of the same database is waited for (3600)",
    "DBCUSTODY_CUSTODY_ID": "the database's identity in the storage (`<host>.<database>`); with it, looking needs no `DATABASE_URL`",
    "DBCUSTODY_CLIENTS": "folders with `pg_dump` and `pg_restore`, separated by colons (Debian's, and the PATH)",
    "DBCUSTODY_ENVIRONMENT": "`Development`, `Staging` or `Production`: on the last `migrate dev`, `migrate reset` and `seed` are refused, "
    "and on all but the first where a DatabaseMigration has migrated the database (none, which refuses there, too)",
    "DBCUSTODY_SEED_COMMAND": "`dbcustody seed`: what a shell runs to fill the database, behind the files",
    "DBCUSTODY_DEV_DATABASE_URL": "`migrate dev`, `migrate diff`: a server for throw-away databases; without it one is started",
    "DBCUSTODY_SERVERS": "folders with `initdb` and `postgres`, separated by colons (where packages put them, and the PATH)",
    "KUBECONFIG": "`kubectl dbcustody`: the file that says where the cluster is; as `--kubeconfig`",
}
"""By name, each with what it means and in parentheses what holds without it."""
