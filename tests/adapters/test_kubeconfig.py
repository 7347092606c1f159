"""The way that kubectl would take: files, contexts, credential plug-ins, a ServiceAccount; and a clear word where there is none."""

from __future__ import annotations

import ssl
import stat
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from dbcustody.adapters import kubeconfig
from dbcustody.adapters.kubeconfig import read_access
from dbcustody.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def entry(kind: str, name: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return a named entry of a kubeconfig."""
    return {"name": name, kind: value}


def config(user: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    """Return a kubeconfig with two contexts."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [
            entry("cluster", "one", {"server": "https://one.example:6443", **cluster}),
            entry("cluster", "two", {"server": "https://two.example:6443"}),
        ],
        "users": [entry("user", "me", user)],
        "contexts": [
            entry("context", "here", {"cluster": "one", "user": "me", "namespace": "team"}),
            entry("context", "there", {"cluster": "two", "user": "me"}),
        ],
    }


def written(folder: Path, content: dict[str, Any], name: str = "config") -> str:
    """Return the path of a kubeconfig with *content*."""
    path = folder / name
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_the_current_context_is_taken(tmp_path: Path) -> None:
    """With its namespace and its user's token."""
    access = read_access(files=written(tmp_path, config({"token": "s3cret"})))
    assert (access.server, access.namespace) == ("https://one.example:6443", "team")
    assert access.as_http_headers() == {"Authorization": "Bearer s3cret"}
    assert access.as_ssl_context().verify_mode is ssl.CERT_REQUIRED


def test_another_context_is_taken_when_it_is_named(tmp_path: Path) -> None:
    """Without a namespace of its own it means `default`."""
    access = read_access(files=written(tmp_path, config({"token": "s3cret"})), context="there")
    assert (access.server, access.namespace) == ("https://two.example:6443", "default")
    with pytest.raises(UnavailableError, match="has no context nowhere; there are: here, there"):
        read_access(files=written(tmp_path, config({})), context="nowhere")


def test_several_files_are_one(tmp_path: Path) -> None:
    """KUBECONFIG may name more than one."""
    whole = config({"token": "s3cret"})
    first = {name: whole[name] for name in ("apiVersion", "kind", "current-context", "contexts")}
    second = {name: whole[name] for name in ("apiVersion", "kind", "clusters", "users")}
    files = f"{written(tmp_path, first, 'a')}:{written(tmp_path, second, 'b')}"
    assert read_access(files=files).server == "https://one.example:6443"


def test_a_credential_plug_in_is_run(tmp_path: Path) -> None:
    """As clouds log people in."""
    plug_in = tmp_path / "login"
    answer = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "fresh"}}'
    plug_in.write_text(f"#!/bin/sh\necho '{answer}'\n")
    plug_in.chmod(plug_in.stat().st_mode | stat.S_IXUSR)
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plug_in), "interactiveMode": "Never"}
    }
    assert read_access(files=written(tmp_path, config(user))).as_http_headers() == {"Authorization": "Bearer fresh"}


def test_what_need_not_be_checked_is_not(tmp_path: Path) -> None:
    """Only when the kubeconfig says so; without a token no header is sent."""
    access = read_access(files=written(tmp_path, config({}, **{"insecure-skip-tls-verify": True})))
    assert access.as_ssl_context().verify_mode is ssl.CERT_NONE
    assert access.as_http_headers() == {}


@pytest.mark.parametrize("text", [None, "", "a: [", "a: 1"])
def test_what_is_no_kubeconfig_is_told(tmp_path: Path, text: str | None) -> None:
    """In one line, with what helps."""
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UnavailableError, match=r"^kubeconfig: [^\n]*; set KUBECONFIG, or give --kubeconfig$"):
        read_access(files=str(path))


def test_a_pod_takes_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PreSync hook has no kubeconfig."""
    (tmp_path / "namespace").write_text("team\n")
    (tmp_path / "token").write_text("of-the-pod")
    (tmp_path / "ca.crt").write_text("x")
    monkeypatch.setattr(kubeconfig, "_IN_POD", tmp_path / "namespace")
    monkeypatch.setattr(kubeconfig, "_DEFAULT_FILE", str(tmp_path / "none"))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    access = read_access()
    assert (access.server, access.namespace) == ("https://10.0.0.1:443", "team")
    assert access.as_http_headers()["Authorization"].lower() == "bearer of-the-pod"
