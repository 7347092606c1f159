"""`kubectl dbcustody` as a program: help at once, kubectl's options, completion, and one message for whatever goes wrong."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from aiohttp import web

from dbcustody.api.meta import Kind
from dbcustody.cli.kubectl import main as program
from dbcustody.cli.kubectl.completion import proposals
from dbcustody.cli.kubectl.main import kubectl_command, run
from dbcustody.cli.kubectl.session import connect
from tests.fakes.counter import Counter
from tests.fakes.glances import body

ROOT = Path(__file__).parents[2]


def leaves(command: click.Command, *words: str) -> list[tuple[tuple[str, ...], click.Command]]:
    """Return every command below *command*, with the words that lead to it."""
    if not isinstance(command, click.Group):
        return [(words, command)]
    return [leaf for name, child in command.commands.items() for leaf in leaves(child, *words, name)]


COMMANDS = leaves(kubectl_command)


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_help_is_complete(words: tuple[str, ...], command: click.Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command and option says what it is for, and the usage line can be typed."""
    assert run([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: kubectl dbcustody {' '.join(words)} ")
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert command.help
    assert [option.name for option in options if not option.help] == []
    assert {"--namespace", "--kubeconfig", "--context"} <= {word for option in options for word in option.opts}


def test_help_loads_nothing_heavy() -> None:
    """A person at a prompt waits for Python and click, and for nothing else; and no driver is ever loaded."""
    heavy = "{'kopf', 'kubernetes', 'aiohttp', 'rich', 'structlog', 'psycopg', 'boto3', 'sqlalchemy', 'yaml'}"
    code = (
        "import sys\nfrom dbcustody.cli.kubectl.main import run\n"
        f"assert run(['restore', '--help']) == 0\nfound = {heavy} & set(sys.modules)\nassert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_commands_load_no_driver_and_no_operator_framework() -> None:
    """The plugin asks the API server alone."""
    heavy = "{'kopf', 'psycopg', 'boto3', 'sqlalchemy'}"
    code = (
        "import sys\nimport dbcustody.cli.kubectl.asking, dbcustody.cli.kubectl.doctor, dbcustody.cli.kubectl.session\n"
        f"found = {heavy} & set(sys.modules)\nassert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_options_are_kubectl_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where kubectl has them, and KUBECONFIG."""
    counter = Counter()
    monkeypatch.setenv("KUBECONFIG", "from-environment")
    counter.type("status", "-n", "team", "--context", "there")
    assert counter.asked == {
        "namespace": "team",
        "everywhere": False,
        "kubeconfig": "from-environment",
        "context": "there",
    }
    counter.type("doctor", "-A", "--kubeconfig", "mine")
    assert (counter.asked["everywhere"], counter.asked["kubeconfig"]) == (True, "mine")


def test_no_way_to_a_cluster_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, by the real door."""
    assert run(["status", "--kubeconfig", str(tmp_path / "none")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: kubeconfig: ")
    assert len(err.splitlines()) == 1


async def test_the_real_door_leads_to_the_api_server(tmp_path: Path) -> None:
    """A kubeconfig, a context's namespace, and the user's token over HTTP, read anew when it is used up."""
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        if len(seen) == 1:
            (tmp_path / "config").write_text(json.dumps(config_of(address, "fresh")))
            return web.Response(status=401)
        return web.json_response({"metadata": {}, "items": [body(Kind.DATABASE, "shop")]})

    app = web.Application()
    app.router.add_get("/apis/dbcustody.dev/v1/namespaces/team/databases", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = "http://{}:{}".format(*runner.addresses[0][:2])
    (tmp_path / "config").write_text(json.dumps(config_of(address)))
    async with connect(namespace=None, everywhere=False, kubeconfig=str(tmp_path / "config"), context=None) as session:
        found, strange = await session.all(Kind.DATABASE)
        told = session.server_time
    await runner.cleanup()

    assert [one.name for one in found] == ["shop"]
    assert (session.home, strange, seen) == ("team", [], ["Bearer s3cret", "Bearer fresh"])
    assert told is not None
    assert abs(told - datetime.now(UTC)) < timedelta(seconds=30)


def config_of(address: str, words: str = "s3cret") -> dict[str, object]:
    """Return a kubeconfig that leads to *address*."""
    return {
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": address}}],
        "users": [{"name": "me", "user": {"token": words}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "team"}}],
    }


def test_each_installed_command_is_there() -> None:
    """What pyproject.toml names can be called."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert {"kubectl-dbcustody", "kubectl_complete-dbcustody"} <= scripts.keys()
    for place in scripts.values():
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_a_bug_shows_no_values(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Only where it happened."""

    def fail() -> int:
        raise ValueError("hunter2")

    monkeypatch.setattr(program, "run", fail)
    with pytest.raises(SystemExit) as end:
        program.main()
    err = capsys.readouterr().err
    assert end.value.code == 1
    assert "InternalError: ValueError at " in err
    assert "hunter2" not in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ba"], ["backup"]),
        (["backup", ""], ["now"]),
        (["restore", "--missing-roles", ""], ["fail", "create", "skipownership"]),
        (["status", "--al"], ["--all-namespaces"]),
        (
            [],
            [
                "backup",
                "restore",
                "cancel",
                "approve",
                "deny",
                "plan",
                "timeline",
                "status",
                "wait",
                "doctor",
                "uninstall",
            ],
        ),
        (["backup", "now", ""], []),
    ],
)
def test_kubectl_completes(words: list[str], expected: list[str]) -> None:
    """What kubectl asks `kubectl_complete-dbcustody`."""
    assert sorted(line.partition("\t")[0] for line in proposals(words)) == sorted(expected)
