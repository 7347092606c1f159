"""Connection URLs: libpq's grammar, read back whatever was put in, and a clear word for everything else."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.api.connection_url import ConnectionUrl, UrlError, decode_percent, is_port, parse_url

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1, max_size=30)
HOST = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
PORT = st.integers(1, 65_535).map(str)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            "postgresql://app:s3cret@db:5433/shop",
            ConnectionUrl(host="db", port="5433", database="shop", user="app", password="s3cret"),
            id="everything",
        ),
        pytest.param("postgres://db", ConnectionUrl(host="db"), id="host-alone"),
        pytest.param("postgresql://app@db/", ConnectionUrl(host="db", user="app"), id="no-database"),
        pytest.param(
            "postgresql+asyncpg://app@db/shop", ConnectionUrl(host="db", user="app", database="shop"), id="asyncpg"
        ),
        pytest.param(
            "postgresql+psycopg://app@db/shop", ConnectionUrl(host="db", user="app", database="shop"), id="psycopg"
        ),
        pytest.param(
            "jdbc:postgresql://db:5432/shop?user=app&password=p%26q",
            ConnectionUrl(host="db", port="5432", database="shop", user="app", password="p&q"),
            id="jdbc",
        ),
        pytest.param(
            "postgresql://app:p%40ss%2Fw%3Ard@db/sh%20op",
            ConnectionUrl(host="db", user="app", password="p@ss/w:rd", database="sh op"),
            id="percent-encoded",
        ),
        pytest.param(
            "postgresql://app:p@ss?#word@db/shop",
            ConnectionUrl(host="db", user="app", password="p@ss?#word", database="shop"),
            id="raw-punctuation-in-password",
        ),
        pytest.param(
            "postgresql://app:pw@a:5433,b,[::1]:5435/shop",
            ConnectionUrl(host="a,b,::1", port="5433,5432,5435", user="app", password="pw", database="shop"),
            id="several-hosts",
        ),
        pytest.param(
            "postgresql://a,b/shop", ConnectionUrl(host="a,b", database="shop"), id="several-hosts-without-port"
        ),
        pytest.param("postgresql://[2001:db8::1]/shop", ConnectionUrl(host="2001:db8::1", database="shop"), id="ipv6"),
        pytest.param(
            "postgresql://%2Fvar%2Frun%2Fpostgresql/shop",
            ConnectionUrl(host="/var/run/postgresql", database="shop"),
            id="socket-as-host",
        ),
        pytest.param(
            "postgresql:///shop?host=/var/run/postgresql&user=app",
            ConnectionUrl(host="/var/run/postgresql", database="shop", user="app"),
            id="socket-as-parameter",
        ),
        pytest.param(
            "postgresql://db/shop?schema=web&connection_limit=5&sslmode=require",
            ConnectionUrl(
                host="db", database="shop", parameters={"schema": "web", "connection_limit": "5", "sslmode": "require"}
            ),
            id="prisma",
        ),
        pytest.param(
            "postgresql://db?dbname=shop&port=6000",
            ConnectionUrl(host="db", port="6000", database="shop"),
            id="no-slash",
        ),
        pytest.param(
            "postgresql://app@db?sslrootcert=/etc/ca.crt",
            ConnectionUrl(host="db", user="app", parameters={"sslrootcert": "/etc/ca.crt"}),
            id="slash-behind-the-question-mark",
        ),
        pytest.param(
            "postgresql://db?sslrootcert=/etc/ca.crt",
            ConnectionUrl(host="db", parameters={"sslrootcert": "/etc/ca.crt"}),
            id="slash-behind-the-question-mark-without-user",
        ),
        pytest.param(" postgresql://db/shop\n", ConnectionUrl(host="db", database="shop"), id="blank-around"),
    ],
)
def test_each_form_is_read(text: str, wanted: ConnectionUrl) -> None:
    """Every form that libpq, Prisma, SQLAlchemy and JDBC write says what its writer meant."""
    assert parse_url(text) == wanted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("shop", "is not a URL", id="not-a-url"),
        pytest.param("mysql://app@db/shop", "scheme 'mysql'", id="mysql"),
        pytest.param("prisma+postgres://accelerate", "scheme 'prisma'", id="prisma-accelerate"),
        pytest.param("postgresql://db:99999/shop", "port", id="port-too-large"),
        pytest.param("postgresql://db/shop?port=x", "port", id="port-not-a-number"),
        pytest.param("postgresql://::1/shop", "address", id="ipv6-without-brackets"),
        pytest.param("postgresql://app:100%@db/shop", "percent sign", id="lone-percent"),
        pytest.param("postgresql://app:%00@db/shop", "percent sign", id="zero-byte"),
        pytest.param("postgresql://app:%ff@db/shop", "UTF-8", id="not-utf-8"),
    ],
)
def test_each_mistake_is_named_without_a_quote(text: str, complaint: str) -> None:
    """A mistake is named; user, password and host never stand in the complaint."""
    with pytest.raises(UrlError, match=complaint) as caught:
        parse_url(text)

    assert "app" not in str(caught.value)


def test_password_shows_in_no_repr() -> None:
    """A parsed URL can be printed: neither password nor parameters are in its repr."""
    shown = repr(parse_url("postgresql://app:c4nary@db/shop?sslpassword=c4nary"))

    assert "c4nary" not in shown


@given(user=TEXT, password=TEXT, host=HOST, port=PORT, database=TEXT)
def test_whatever_is_escaped_comes_back(*, user: str, password: str, host: str, port: str, database: str) -> None:
    """A URL whose parts were percent-encoded gives exactly these parts back."""
    url = f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}/{quote(database, safe='')}"

    found = parse_url(url)

    assert found == ConnectionUrl(host=host, port=port, database=database, user=user, password=password)


@given(hosts=st.lists(st.tuples(HOST, PORT), min_size=1, max_size=4), name=TEXT, value=TEXT)
def test_lists_of_hosts_and_parameters_come_back(hosts: list[tuple[str, str]], name: str, value: str) -> None:
    """Hosts keep their order and their ports; a parameter keeps its name and its value."""
    authority = ",".join(f"{host}:{port}" for host, port in hosts)
    found = parse_url(f"postgresql://{authority}/shop?x{quote(name, safe='')}={quote(value, safe='')}")

    assert found.host == ",".join(host for host, _ in hosts)
    assert found.port == ",".join(port for _, port in hosts)
    assert found.parameters == {f"x{name}": value}


@given(text=st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text is either read or refused in the one way that callers know."""
    try:
        parse_url(f"postgresql://{text}")
    except UrlError:
        return
    except UnicodeEncodeError:
        pytest.fail("a lone surrogate is not refused")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("1", True, id="least"),
        pytest.param("65535", True, id="most"),
        pytest.param("0", False, id="zero"),
        pytest.param("65536", False, id="too-large"),
        pytest.param("-1", False, id="negative"),
        pytest.param("", False, id="empty"),
    ],
)
def test_ports_have_a_range(text: str, *, wanted: bool) -> None:
    """A port is a whole number from 1 to 65535."""
    assert is_port(text) is wanted


def test_plus_is_no_blank() -> None:
    """As in libpq, a plus sign stands for itself."""
    assert decode_percent("a+b") == "a+b"
