"""pg_dump's `--compress` for each client: the policy's wish where the client can, Gzip where it is too old for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from dbcustody.api.policy import Algorithm

if TYPE_CHECKING:
    from dbcustody.adapters.postgres import Client
    from dbcustody.api.policy import Compression

NAMED_SINCE: Final = 16
"""Since this major an algorithm can be named (https://www.postgresql.org/docs/16/release-16.html); before, there is only Gzip."""
_HIGHEST_GZIP: Final = 9


class CompressionArgument(NamedTuple):
    """What stands on pg_dump's command line, and what the manifest says."""

    argument: str
    manifest: str


def compression_argument(wanted: Compression, client: Client) -> CompressionArgument:
    """Return how *client* is asked for *wanted*; an older client takes Gzip for what it does not know."""
    if wanted.algorithm is Algorithm.NONE:
        return CompressionArgument("--compress=0" if client.major < NAMED_SINCE else "--compress=none", "none")
    if client.major < NAMED_SINCE:
        level = min(wanted.level, _HIGHEST_GZIP)
        return CompressionArgument(f"--compress={level}", f"gzip:{level}")
    text = f"{wanted.algorithm.value.lower()}:{wanted.level}"
    return CompressionArgument(f"--compress={text}", text)
