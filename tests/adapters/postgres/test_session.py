"""Sessions on real servers: what is set, what is refused, and the reason for everything that can be wrong with a connection."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from dbcustody.adapters.postgres import PostgresTarget, connect, is_pooled, session_options, translated
from dbcustody.errors import DbcustodyError, RefusedError, UnavailableError
from dbcustody.reason import Reason
from ground.certificate import Authority
from ground.postgres import VERSIONS, PostgresServer
from ground.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres

CANARY = "c4nary-p4ssword"


def target_of(server: PostgresServer, **changes: str) -> PostgresTarget:
    """Return the target that an ordinary role has on *server*."""
    plain = PostgresTarget(
        host=server.host, port=str(server.port), database="shop", user="app", password=CANARY, sslmode="disable"
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # every field that is changed here is a text


def prepare(server: PostgresServer) -> PostgresServer:
    """Give *server* an ordinary role and its database."""
    server.execute(f"create role app login password '{CANARY}'", "create database shop owner app")
    return server


@pytest.fixture(scope="module", params=[pytest.param(major, id=f"postgresql-{major}") for major in VERSIONS])
def each_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server of each supported major."""
    with PostgresServer(request.param) as server:
        yield prepare(server)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return one server."""
    with PostgresServer(17) as server:
        yield prepare(server)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that only these tests trust."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def tls_server(authority: Authority) -> Iterator[PostgresServer]:
    """Return a server whose certificate is for `localhost` only."""
    with PostgresServer(17, tls=authority.issue("server", "localhost", names=["localhost"])) as server:
        yield prepare(server)


@contextmanager
def pooler(server: PostgresServer, folder: Path, *, mode: str, extra: str = "") -> Iterator[PostgresTarget]:
    """Run the real PgBouncer in front of *server*; the block gets the target that leads to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for path in (folder, *folder.parents):
        if path.is_relative_to(tempfile.gettempdir()) and path != Path(tempfile.gettempdir()):
            path.chmod(0o755)
    (folder / "users").write_text(f'"app" "{CANARY}"\n')
    (folder / "settings").write_text(
        f"[databases]\nshop=host={server.host} port={server.port}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\n"
        f"auth_type=plain\nauth_file={folder}/users\npool_mode={mode}\nunix_socket_dir=\n{extra}\n"
    )
    process = subprocess.Popen(
        ["/usr/sbin/pgbouncer", "-q", folder / "settings"], user=65534, group=65534, extra_groups=[]
    )
    try:
        assert wait_until(lambda: _listens(port), 10)
        yield target_of(server, port=str(port))
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_settings_of_a_hostile_role_do_not_reach_us(each_server: PostgresServer) -> None:
    """Whatever role and database are set to, our sessions are never cut short and call nothing of a foreign schema."""
    each_server.execute(
        "alter role app set statement_timeout = 20", "alter database shop set search_path = evil, pg_catalog",
        "alter role app set lock_timeout = 1", "alter role app set idle_in_transaction_session_timeout = 1",
    )  # fmt: skip
    with connect(target_of(each_server, application="dbcustody inspect shop")) as session:
        found: dict[str, str] = dict(
            session.execute("select name, setting from pg_settings where name <> 'tcp_user_timeout'").fetchall()
        )

    each_server.execute("alter role app reset all", "alter database shop reset all")
    wanted = {
        "application_name": "dbcustody inspect shop",
        "search_path": "pg_catalog",
        "statement_timeout": "0",
        "lock_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
        "client_connection_check_interval": "10000",
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "6",
        "row_security": "off",
        "TimeZone": "UTC",
    }
    assert {name: found[name] for name in wanted} == wanted
    assert found.get("transaction_timeout", "0") == "0"


def test_clients_backends_watch_their_client(each_server: PostgresServer) -> None:
    """The options for pg_dump are accepted by every server and set what they promise."""
    each_server.execute("alter database shop set statement_timeout = '1min'")
    with connect(target_of(each_server)) as session:
        options = session_options(session)
    with psycopg.connect(each_server.url("shop"), options=options) as client:
        row = client.execute(
            "select current_setting('client_connection_check_interval'), current_setting('statement_timeout'),"
            " current_setting('tcp_keepalives_idle'), current_setting('tcp_keepalives_count')"
        ).fetchone()

    assert row == ("10s", "0", "30", "6")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"password": "wrong"}, Reason.AUTHENTICATION_FAILED, id="wrong-password"),
        pytest.param({"user": "nobody"}, Reason.AUTHENTICATION_FAILED, id="wrong-user"),
        pytest.param({"password": ""}, Reason.AUTHENTICATION_FAILED, id="no-password"),
        pytest.param({"database": "nowhere"}, Reason.DATABASE_MISSING, id="wrong-database"),
        pytest.param({"host": "nowhere.invalid"}, Reason.HOST_UNREACHABLE, id="wrong-host"),
        pytest.param({"port": "1"}, Reason.HOST_UNREACHABLE, id="wrong-port"),
        pytest.param({"host": "/nowhere"}, Reason.HOST_UNREACHABLE, id="wrong-socket"),
        pytest.param({"sslmode": "require"}, Reason.TLS_FAILED, id="server-without-tls"),
        pytest.param({"sslmode": "verify-full", "ca_file": "/nowhere"}, Reason.TLS_FAILED, id="missing-ca-file"),
        pytest.param({"target_session_attributes": "standby"}, Reason.HOST_UNREACHABLE, id="no-standby-there"),
    ],
)
def test_each_wrong_setting_has_its_reason(server: PostgresServer, changes: dict[str, str], reason: Reason) -> None:
    """Every setting that can be wrong is told apart, on the real server, and the password is in no message."""
    with pytest.raises(DbcustodyError) as caught:
        connect(target_of(server, **changes))

    assert caught.value.reason is reason
    cause = caught.value.__cause__
    assert isinstance(cause, psycopg.Error)
    assert CANARY not in f"{caught.value.message}{cause}{cause!r}{cause.pgconn!r}{vars(cause)}"
    assert '"app"' not in caught.value.message


@contextmanager
def impostor(answer: bytes) -> Iterator[str]:
    """Listen like a server, give *answer* to whoever begins a session, and hang up; the block gets the port."""

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(4096)
            client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield str(listener.getsockname()[1])
        thread.join()


def refusal(message: str) -> bytes:
    """Return the server's message of that text, as the protocol has it."""
    body = b"SFATAL\0VFATAL\0C28P01\0M" + message.encode() + b"\0\0"
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(
            refusal("Passwort-Authentifizierung für »app« fehlgeschlagen"),
            Reason.AUTHENTICATION_FAILED,
            id="german-user",
        ),
        pytest.param(refusal("Datenbank »shop« existiert nicht"), Reason.DATABASE_MISSING, id="german-database"),
        pytest.param(refusal("etwas anderes"), Reason.HOST_UNREACHABLE, id="german-else"),
        pytest.param(refusal("the database system is starting up"), Reason.CONNECTION_LOST, id="starting"),
        pytest.param(b"", Reason.CONNECTION_LOST, id="hangs-up"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.HOST_UNREACHABLE, id="not-a-database"),
    ],
)
def test_each_odd_answer_has_its_reason(answer: bytes, reason: Reason) -> None:
    """A server that refuses in another language, is not ready, hangs up, or is no PostgreSQL at all."""
    with impostor(answer) as port, pytest.raises(DbcustodyError) as caught:
        connect(
            PostgresTarget(host="127.0.0.1", port=port, database="shop", user="app", password=CANARY, sslmode="disable")
        )

    assert caught.value.reason is reason
    assert CANARY not in caught.value.message


def test_full_server_is_worth_another_try(server: PostgresServer) -> None:
    """A role that has no connection left is told so, and the run is repeated later."""
    server.execute("alter role app connection limit 1")
    try:
        with connect(target_of(server)), pytest.raises(UnavailableError) as caught:
            connect(target_of(server))
    finally:
        server.execute("alter role app connection limit -1")

    assert caught.value.reason is Reason.CONNECTION_LOST


def test_terminated_session_is_a_lost_connection(server: PostgresServer) -> None:
    """A backend that an administrator ends is a lost connection, not a bug."""
    with connect(target_of(server)) as session:
        server.execute(f"select pg_terminate_backend({session.info.backend_pid})")
        with pytest.raises(UnavailableError) as caught, translated("look"):
            session.execute("select 1")

    assert caught.value.reason is Reason.CONNECTION_LOST


@pytest.mark.parametrize(
    ("host", "sslmode", "trusted"),
    [
        pytest.param("127.0.0.1", "require", False, id="encrypted"),
        pytest.param("127.0.0.1", "verify-ca", True, id="known-authority"),
        pytest.param("localhost", "verify-full", True, id="known-authority-and-name"),
    ],
)
def test_tls_that_fits_is_used(
    tls_server: PostgresServer, authority: Authority, host: str, sslmode: str, *, trusted: bool
) -> None:
    """Each mode connects when the certificate satisfies it, and the line is encrypted."""
    ca = {"ca_file": str(authority.path)} if trusted else {}
    with connect(target_of(tls_server, host=host, sslmode=sslmode, **ca)) as session:
        assert session.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone() == (True,)


@pytest.mark.parametrize(
    ("host", "sslmode"),
    [
        pytest.param("localhost", "verify-full", id="wrong-ca"),
        pytest.param("localhost", "verify-ca", id="wrong-ca-without-name"),
    ],
)
def test_unknown_authority_is_refused(tls_server: PostgresServer, tmp_path: Path, host: str, sslmode: str) -> None:
    """A certificate of another authority is refused."""
    stranger = Authority(tmp_path, "stranger")
    with pytest.raises(RefusedError) as caught:
        connect(target_of(tls_server, host=host, sslmode=sslmode, ca_file=str(stranger.path)))

    assert caught.value.reason is Reason.TLS_FAILED


def test_wrong_host_name_is_refused(tls_server: PostgresServer, authority: Authority) -> None:
    """A certificate for another name is refused."""
    with pytest.raises(RefusedError) as caught:
        connect(target_of(tls_server, sslmode="verify-full", ca_file=str(authority.path)))

    assert caught.value.reason is Reason.TLS_FAILED


def test_systems_authorities_are_asked_without_a_ca(tls_server: PostgresServer) -> None:
    """Verification without a CA never becomes no verification."""
    with pytest.raises(RefusedError) as caught:
        connect(target_of(tls_server, host="localhost", sslmode="verify-full"))

    assert caught.value.reason is Reason.TLS_FAILED


@pytest.mark.parametrize(
    "mode", [pytest.param("transaction", id="transaction"), pytest.param("statement", id="statement")]
)
@pytest.mark.parametrize(
    "extra", [pytest.param("", id="last-first"), pytest.param("server_round_robin=1\nmin_pool_size=3", id="in-turn")]
)
def test_transaction_pooler_is_refused(server: PostgresServer, tmp_path: Path, mode: str, extra: str) -> None:
    """PgBouncer in a mode that cannot hold a snapshot is refused at once, however it hands out its backends, and nothing was set in one."""
    with pooler(server, tmp_path, mode=mode, extra=extra) as target:
        with pytest.raises(RefusedError) as caught:
            connect(target)
        with connect(target, direct=False) as session:
            assert is_pooled(session)

    assert caught.value.reason is Reason.POOLER_REFUSED


def test_pooler_with_two_backends_in_turn_is_refused(server: PostgresServer, tmp_path: Path) -> None:
    """Two backends that are handed out in turn look like two sessions to whoever asks in turn; the order of our questions does not."""

    def backends() -> int:
        ((count,),) = server.execute("select count(*) from pg_stat_activity where usename = 'app'")
        return int(count)

    extra = "server_round_robin=1\nmin_pool_size=2\ndefault_pool_size=2"
    with pooler(server, tmp_path, mode="transaction", extra=extra) as target, connect(target, direct=False):
        assert wait_until(lambda: backends() == 2, 10)
        with pytest.raises(RefusedError) as caught:
            connect(target)

    assert caught.value.reason is Reason.POOLER_REFUSED


def test_transaction_pooler_is_refused_under_load(server: PostgresServer, tmp_path: Path) -> None:
    """Other clients that keep the pool moving hide nothing."""
    stop = threading.Event()

    def work(target: PostgresTarget) -> None:
        with psycopg.connect(**target.parameters(), autocommit=True, prepare_threshold=None) as session:  # type: ignore[arg-type]
            while not stop.is_set():
                session.execute("select 1")

    with pooler(server, tmp_path, mode="transaction") as target:
        threads = [threading.Thread(target=work, args=(target,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                with pytest.raises(RefusedError) as caught:
                    connect(target)
                assert caught.value.reason is Reason.POOLER_REFUSED
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_session_pooler_is_no_obstacle(server: PostgresServer, tmp_path: Path) -> None:
    """PgBouncer in session mode gives each session a backend of its own; only start-up options are left away."""
    with pooler(server, tmp_path, mode="session") as target, connect(target) as session:
        assert is_pooled(session)
        assert not session_options(session)
        assert session.execute("show statement_timeout").fetchone() == ("0",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"password": "wrong"}, Reason.AUTHENTICATION_FAILED, id="wrong-password"),
        pytest.param({"database": "nowhere"}, Reason.DATABASE_MISSING, id="wrong-database"),
    ],
)
def test_poolers_complaints_are_understood(
    server: PostgresServer, tmp_path: Path, changes: dict[str, str], reason: Reason
) -> None:
    """PgBouncer words its refusals differently; they mean the same."""
    with pooler(server, tmp_path, mode="session") as target, pytest.raises(RefusedError) as caught:
        connect(replace(target, **changes))  # type: ignore[arg-type]  # texts

    assert caught.value.reason is reason


def test_hints_of_the_secret_stand_in_the_message(server: PostgresServer) -> None:
    """What was noticed in the Secret is said where it may explain the failure."""
    target = replace(target_of(server, port="1"), hints=("the URL says pgbouncer=true",))

    with pytest.raises(UnavailableError, match="pgbouncer=true"):
        connect(target)
