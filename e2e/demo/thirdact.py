"""Third act: a backup in the place of the running database, and back again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from demo.secondact import is_over

if TYPE_CHECKING:
    from demo.narration import Narrator

_ROWS: Final = "select current_database(), count(distinct full_name) as names from customers"
_OLD: Final = "-o jsonpath='{.status.oldDatabase}{\"\\n\"}'"
_CONFIRM: Final = "kubectl get pgdb shop -o jsonpath='{.metadata.name}@{.status.server.systemIdentifier}/{.status.oid}'"
_LIVE: Final = "kubectl get pgrst shop-back -o jsonpath='{.status.oid}'"


def play(narrator: Narrator) -> None:
    """Play it; raises CommandFailedError when something goes otherwise."""
    narrator.chapter(
        "In its place: restored beside, compared, and swapped in by name; what ran is kept (docs/restore.md)"
    )
    narrator.environment["CONFIRM"] = narrator.quiet(_CONFIRM).strip()
    narrator.say("Whoever replaces a database confirms which one, on which server, and for this swap alone: $CONFIRM")
    _file(narrator, "63-restore-replace.yaml", "shop-back")
    narrator.type(f'psql "$SHOP" -c "{_ROWS}"')
    narrator.type(f"kubectl get pgrst shop-back {_OLD}")
    narrator.chapter("It was the wrong one after all: what ran before is put back as it was")
    narrator.environment["CONFIRM"] = (
        f"{narrator.environment['CONFIRM'].partition('/')[0]}/{narrator.quiet(_LIVE).strip()}"
    )
    _file(narrator, "64-undo.yaml", "shop-back-undone")
    narrator.type(f'psql "$SHOP" -c "{_ROWS}"')
    narrator.type("kubectl get pgrst")


def _file(narrator: Narrator, example: str, name: str) -> None:
    change = "s/shop-before-upgrade/third/; s|shop@[0-9/]*|$CONFIRM|"
    narrator.type(f'sed "{change}" examples/{example} | kubectl create -f -')
    narrator.watch("kubectl get restorerequests -w", lambda line: is_over(line, name), timeout_seconds=240)
