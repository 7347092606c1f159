"""The way to the API server that a person's kubectl would take: kubeconfig, context, credential plug-ins, or the pod's ServiceAccount.

Kubernetes' own client reads the files and runs the plug-ins (clouds log in by them); nothing else of it is used.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kubernetes import config
from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException
from yaml import YAMLError

from dbcustody.errors import UnavailableError

_DEFAULT_FILE: Final = "~/.kube/config"
_IN_POD: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DEFAULT_NAMESPACE: Final = "default"


@dataclass(frozen=True, slots=True)
class Access:
    """The way to one API server, and the namespace that is meant when none is said."""

    server: str
    namespace: str
    settings: Configuration = field(repr=False)

    def as_http_headers(self) -> dict[str, str]:
        """Return the header that says who asks; a client certificate needs none."""
        token = self.settings.get_api_key_with_prefix("BearerToken")
        return {"Authorization": token} if token else {}

    def as_ssl_context(self) -> ssl.SSLContext:
        """Return whom the kubeconfig trusts, and its client certificate."""
        context = ssl.create_default_context(cafile=self.settings.ssl_ca_cert)
        if self.settings.cert_file:
            context.load_cert_chain(self.settings.cert_file, self.settings.key_file)
        if not self.settings.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def read_access(*, files: str | None = None, context: str | None = None) -> Access:
    """Return the way that *files* (as in KUBECONFIG) and *context* describe; raises UnavailableError when they describe none.

    Without either, and without a kubeconfig at its usual place, a pod's ServiceAccount is taken.
    """
    try:
        if not files and not context and not Path(_DEFAULT_FILE).expanduser().exists() and _IN_POD.exists():
            return _of_service_account()
        return _of_files(files or _DEFAULT_FILE, context)
    except (ConfigException, OSError, YAMLError) as error:
        raise UnavailableError(f"kubeconfig: {_first_line(error)}; set KUBECONFIG, or give --kubeconfig") from error


def _of_files(files: str, name: str | None) -> Access:
    contexts, active = config.list_kube_config_contexts(config_file=files)  # type: ignore[no-untyped-call]
    chosen: Any = active if name is None else next((one for one in contexts if one["name"] == name), None)
    if chosen is None:
        known = ", ".join(str(one["name"]) for one in contexts)
        raise UnavailableError(f"kubeconfig: has no context {name}; there are: {known}")
    settings = Configuration()
    config.load_kube_config(config_file=files, context=chosen["name"], client_configuration=settings)  # type: ignore[no-untyped-call]
    namespace = chosen["context"].get("namespace") or _DEFAULT_NAMESPACE
    return Access(str(settings.host), namespace, settings)


def _of_service_account() -> Access:
    settings = Configuration()
    config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    return Access(str(settings.host), _IN_POD.read_text().strip(), settings)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
