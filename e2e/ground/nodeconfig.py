"""The configuration files and command lines of the one-machine Kubernetes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import yaml

from ground.archive import PAUSE

if TYPE_CHECKING:
    from pathlib import Path

    from ground.network import Network

SERVICE_RANGE: Final = "10.96.0.0/16"


def kubeconfig(server: str, authority: Path, user: dict[str, Any], *, namespace: str = "default") -> str:
    """Return a kubeconfig for *user* (client certificate or token)."""
    return yaml.safe_dump({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "ground", "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "ground", "context": {"cluster": "ground", "user": "user", "namespace": namespace}}],
        "current-context": "ground",
    })  # fmt: skip


def apiserver_flags(keys: Path, network: Network) -> list[str]:
    """Return the API server's flags; one authority serves clients and front proxy, which needs the allowed name said."""
    return [
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        "--bind-address=0.0.0.0",
        f"--advertise-address={network.node_address}",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={keys}/ca.crt",
        f"--tls-cert-file={keys}/apiserver.crt",
        f"--tls-private-key-file={keys}/apiserver.key",
        f"--kubelet-client-certificate={keys}/apiserver-kubelet.crt",
        f"--kubelet-client-key={keys}/apiserver-kubelet.key",
        f"--kubelet-certificate-authority={keys}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys}/sa.crt",
        f"--service-account-signing-key-file={keys}/sa.key",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--requestheader-client-ca-file={keys}/ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={keys}/front.crt",
        f"--proxy-client-key-file={keys}/front.key",
    ]


def controller_flags(folder: Path) -> list[str]:
    """Return the controller manager's flags."""
    keys = folder / "keys"
    config = f"{keys}/controllers.kubeconfig"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--root-ca-file={keys}/ca.crt",
        f"--service-account-private-key-file={keys}/sa.key",
        f"--cluster-signing-cert-file={keys}/ca.crt",
        f"--cluster-signing-key-file={keys}/ca.key",
        f"--flex-volume-plugin-dir={folder}/volume-plugins",
        "--use-service-account-credentials",
        "--leader-elect=false",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
    ]


def scheduler_flags(keys: Path) -> list[str]:
    """Return the scheduler's flags."""
    config = f"{keys}/scheduler.kubeconfig"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--leader-elect=false",
    ]


def kubelet_flags(folder: Path, name: str, address: str) -> list[str]:
    """Return the flags of the kubelet of the node *name*."""
    return [
        f"--config={folder}/kubelet.yaml",
        f"--kubeconfig={folder}/keys/kubelet.kubeconfig",
        f"--hostname-override={name}",
        f"--node-ip={address}",
        f"--root-dir={folder}/kubelet",
    ]


def kubelet_config(folder: Path, network: Network, *, socket: Path, cgroup_root: str, taint: str | None = None) -> str:
    """Return the kubelet's configuration; no disk pressure, because the disk belongs to the machine and not to the test."""
    keys = folder / "keys"
    taints = [{"key": taint, "effect": "NoSchedule"}] if taint is not None else []
    return yaml.safe_dump({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",  # noqa: S104 - inside the cluster's own namespace
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": f"{keys}/ca.crt"}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{keys}/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{keys}/kubelet-server.key",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup_root,
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": f"unix://{socket}",
        "evictionHard": dict.fromkeys(("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available"), "0%"),
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "2400h",
        "enforceNodeAllocatable": ["pods"],
        "rotateCertificates": False,
        "registerNode": True,
        "registerWithTaints": taints,
        "maxPods": 110,
        "clusterDNS": [network.node_address],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "podLogsDir": f"{folder}/pod-logs",
        "volumePluginDir": f"{folder}/volume-plugins",
    })  # fmt: skip


def proxy_config(keys: Path, pod_range: str, name: str) -> str:
    """Return the configuration of kube-proxy on the node *name*."""
    return yaml.safe_dump({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": pod_range,
        "oomScoreAdj": 0,
        "clientConnection": {"kubeconfig": f"{keys}/proxy.kubeconfig"},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "hostnameOverride": name,
    })  # fmt: skip


def containerd_config(folder: Path, *, socket: Path, run_folder: Path) -> str:
    """Return containerd's configuration; root without CAP_SYS_RESOURCE may not raise its own priority against the OOM killer."""
    return f"""version = 2
root = "{folder}/containerd"
state = "{run_folder}/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  netns_mounts_under_state_dir = true
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{run_folder}/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"""


def network_config(folder: Path, pod_range: str) -> str:
    """Return the CNI configuration: a bridge, no masquerading, addresses kept in a folder of the cluster."""
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": pod_range}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": f"{folder}/addresses",
        },
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]})


def dns_config(keys: Path, network: Network) -> str:
    """Return CoreDNS's configuration."""
    return f"""cluster.local:53 {{
  bind {network.node_address}
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {keys}/admin.kubeconfig
  }}
}}
"""
