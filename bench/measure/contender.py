"""What people use instead: pg_dump into a file or a folder, pipes of stock programs, and uploads with boto3; each returns its seconds.

Nothing is held back from them: uploads run in this process, whose client is made beforehand and whose start nobody waits for, with
boto3's own settings. Passwords go by the environment, and a pipe counts only when both of its ends were well.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from ground.root import client_folder
from measure.database import MAJOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from measure.parts import Parts

COMPRESSION: Final = "--compress=zstd:1"
"""What our own backups ask pg_dump for unless told otherwise."""
_FILES_AT_ONCE: Final = 4


def pg_dump(*arguments: str | Path) -> list[str]:
    """Return the command line of the pg_dump that our backups run too."""
    return [str(client_folder(MAJOR) / "pg_dump"), *map(str, arguments)]


def dump_to_file(parts: Parts) -> float:
    """Run `pg_dump -Fc` into a file."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "shop.pgc").open("wb") as file:
        started = time.monotonic()
        subprocess.run(pg_dump("-Fc", COMPRESSION), check=True, stdout=file, env={**os.environ, **parts.variables()})
        return time.monotonic() - started


def dump_to_folder(parts: Parts, folder: Path) -> float:
    """Run `pg_dump -Fd -j2` into *folder*, which must not be there yet; like us it flushes what it wrote."""
    started = time.monotonic()
    command = pg_dump("-Fd", "-j2", COMPRESSION, "-f", folder)
    subprocess.run(command, check=True, env={**os.environ, **parts.variables()})
    return time.monotonic() - started


def upload_folder(parts: Parts, folder: Path) -> float:
    """Upload every file of *folder*, several at once, the largest first; what arrived is removed again."""
    files = sorted(folder.iterdir(), key=lambda file: -file.stat().st_size)
    with closing(parts.s3.client()) as client:
        started = time.monotonic()
        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            list(pool.map(lambda file: client.upload_file(str(file), parts.bucket, f"folder/{file.name}"), files))
        seconds = time.monotonic() - started
    _check_arrived(parts, "folder/", len(files))
    return seconds


def stream_up(parts: Parts, commands: Sequence[Sequence[str | Path]], secrets: Mapping[str, str]) -> float:
    """Run *commands* as a pipe and upload what comes out of it, as it comes."""
    with closing(parts.s3.client()) as client:
        started = time.monotonic()
        with piped(commands, {**parts.variables(), **secrets}) as output:
            client.upload_fileobj(output, parts.bucket, "stream/shop")
        seconds = time.monotonic() - started
    _check_arrived(parts, "stream/", 1)
    return seconds


def run_piped(commands: Sequence[Sequence[str | Path]], environment: Mapping[str, str]) -> float:
    """Run *commands* as a pipe; what the last one says is read and forgotten."""
    started = time.monotonic()
    with piped(commands, environment) as output:
        output.read()
    return time.monotonic() - started


@contextmanager
def piped(commands: Sequence[Sequence[str | Path]], environment: Mapping[str, str]) -> Iterator[IO[bytes]]:
    """Run *commands*, each reading what the one before writes, and yield the last one's output.

    Raises RuntimeError when one of them fails. When the block fails they are left with a pipe that nobody reads, which ends them.
    """
    with ExitStack() as held:
        running: list[subprocess.Popen[bytes]] = []
        for command in commands:
            source = running[-1].stdout if running else subprocess.DEVNULL
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=source,
                stdout=subprocess.PIPE,
                env={**os.environ, **environment},
            )
            running.append(held.enter_context(process))
            if len(running) > 1:
                _output(running[-2]).close()
        yield _output(running[-1])
    for command, process in zip(commands, running, strict=True):
        if process.returncode:
            raise RuntimeError(f"{Path(command[0]).name}: exit status {process.returncode}")


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdout is None:
        raise RuntimeError("the pipe has no end to read from")
    return process.stdout


def _check_arrived(parts: Parts, prefix: str, count: int) -> None:
    found = parts.s3.keys(parts.bucket, prefix)
    if len(found) != count:
        raise RuntimeError(f"{len(found)} of {count} objects arrived below {prefix}")
    parts.empty(prefix)
