"""First act: one database, no cluster. A backup is taken, listed, proven, restored, and opened with nothing of ours but one file."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from demo.proof import backups_in_storage, contents_of, hold
from demo.server import BUCKET, CUSTOMERS, has_s3

if TYPE_CHECKING:
    from demo.narration import Narrator
    from demo.server import Servers


def play(narrator: Narrator, servers: Servers) -> None:
    """Play it; raises CommandFailedError when something goes otherwise, and NotAsToldError when it did not bring what it shows."""
    narrator.chapter("A shop database")
    servers.load_shop()
    size = servers.postgres.execute("select pg_size_pretty(pg_database_size('shop'))")[0][0]
    narrator.say(
        f"{servers.programs.whose}, database shop: {size}; {CUSTOMERS:,} customers and their orders in four schemas, with foreign keys, "
        "sequences, views, JSON, partitions and large objects"
    )
    folder = _settle(narrator, servers)
    narrator.chapter("A backup from the command line, without any cluster")
    narrator.type("dbcustody backup --name first", has_bar=True)
    narrator.type("dbcustody backups list")
    hold(narrator, "one backup lies there, and it is good", found=backups_in_storage(narrator), wanted={"first": True})
    narrator.chapter("Is it any good? Read back, decrypted, and every row counted")
    narrator.type("dbcustody verify first", has_bar=True)
    _restore_beside(narrator, servers)
    _open_by_hand(narrator, servers, folder)


def _settle(narrator: Narrator, servers: Servers) -> Path:
    """Set and show the variables; returns the folder in which the storage's objects can be found."""
    server, key = servers.postgres, base64.b64encode(os.urandom(32)).decode()
    (servers.folder / "backup.key").write_text(key)
    chosen = {
        "DATABASE_URL": server.url("shop", user="shop"),
        "BACKUP_ENCRYPTION_KEY": key,
        "DBCUSTODY_CLIENTS": str(servers.programs.clients),
    }
    storage, folder = _storage(servers)
    narrator.environment |= {
        **chosen,
        **storage,
        "PATH": f"{Path(sys.executable).parent}:{servers.programs.clients}:{os.environ['PATH']}",
    }
    for name, text in {**chosen, **storage}.items():
        is_secret = name.endswith(("_KEY", "_SECRET_ACCESS_KEY"))
        narrator.show(f"export {name}={'...' if is_secret else text.replace(server.password, '...')}")
    return folder


def _storage(servers: Servers) -> tuple[dict[str, str], Path]:
    if not has_s3():
        folder = servers.folder / "backups"
        folder.mkdir()
        return {"BACKUP_DIR": str(folder)}, folder
    server = servers.start_s3()
    variables = {
        "BACKUP_S3_ENDPOINT": server.url,
        "BACKUP_S3_BUCKET": BUCKET,
        "BACKUP_S3_ACCESS_KEY_ID": server.access_key,
        "BACKUP_S3_SECRET_ACCESS_KEY": server.secret_key,
    }
    return variables, server.folder / "objects" / BUCKET


def _restore_beside(narrator: Narrator, servers: Servers) -> None:
    """Restore into a new database, by a role that may make one."""
    narrator.chapter("Restored beside the database: shut until every row was compared (docs/restore.md)")
    url = servers.postgres.url("shop_restored")
    narrator.environment["RESTORE_URL"] = url
    narrator.show(f"export RESTORE_URL={url.replace(servers.postgres.password, '...')}")
    narrator.type("dbcustody restore first", has_bar=True)
    narrator.type('psql "$RESTORE_URL" -c "select current_database(), count(*) as customers from customers"')
    shop, restored = (contents_of(servers.postgres, name) for name in ("shop", "shop_restored"))
    hold(narrator, "every table of shop_restored has the rows of shop", found=restored, wanted=shop)


def _open_by_hand(narrator: Narrator, servers: Servers, folder: Path) -> None:
    """Show the way back without us; the commands stand in docs/restore-by-hand.md, where a test runs them to the end."""
    narrator.chapter(
        "The way back without us: one Python file and PostgreSQL's own pg_restore (docs/restore-by-hand.md)"
    )
    (backup,) = folder.glob("*/backups/*")
    opened = servers.folder / "opened"
    narrator.environment |= {
        "BACKUP": str(backup),
        "KEY_FILE": str(servers.folder / "backup.key"),
        "OPENED": str(opened),
    }
    whose = "where the S3 server keeps the bucket; elsewhere: aws s3 cp --recursive" if servers.s3 else "in BACKUP_DIR"
    narrator.say(f"BACKUP={backup}   ({whose})")
    narrator.type('dbcustody-decrypt --backup "$BACKUP" --key-file "$KEY_FILE" --output "$OPENED"')
    narrator.type('pg_restore --list "$OPENED/whole.pgc" | grep -E "TABLE |VIEW |FK " | sed -n 1,8p')
    listed = narrator.quiet('pg_restore --list "$OPENED/whole.pgc" | grep -c " TABLE DATA "')
    tables = servers.postgres.execute(
        "select count(*) from pg_class where relkind = 'r' and relnamespace::regnamespace::text !~ '^(pg_|information_)'",
        database="shop",
    )
    hold(narrator, "the file has the rows of every table", found=int(listed), wanted=tables[0][0])
