"""Every value of the chart, once: type, default and meaning. The schema, values.yaml and the README's table are made from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Label = Annotated[str, StringConstraints(max_length=63, pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$")]
Name = Annotated[str, StringConstraints(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
NameOrNone = Annotated[str, StringConstraints(max_length=253, pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$")]
Namespace = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9.]+([numkKMGTPE]i?|[eE][-+]?[0-9]+)?$")] | int | float
Port = Annotated[int, Field(ge=1, le=65_535)]
Object = dict[str, Any]
"""A part of the pod's specification, as Kubernetes knows it; the API server judges it."""
Volume = Annotated[Object, Field(json_schema_extra={"not": {"required": ["hostPath"]}})]
"""Any but a folder of the node, which the restricted profile forbids."""


class Section(BaseModel):
    """Values that belong together; a key that is not among them is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Image(Section):
    """The one image, of the operator and of every Job."""

    repository: Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[A-Za-z0-9._:/-]+$")] = Field(
        default="dbcustody",
        description="Where your nodes pull the image from. The default names no registry: the nodes must have it already",
    )
    tag: Annotated[str, StringConstraints(max_length=128, pattern=r"^[A-Za-z0-9._-]*$")] = Field(
        default="", description="The image's tag. Empty: the chart's `appVersion`"
    )
    digest: Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64})?$")] = Field(
        default="", description="`sha256:...`; wins over the tag, and nobody can put another image under it"
    )
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="When the operator's image is pulled; Jobs pull theirs if not present"
    )


class PullSecret(Section):
    """A reference to a Secret in the operator's namespace."""

    name: Name = Field(description="The Secret's name")


class FreezeWindow(Section):
    """A time in which no restore begins to write."""

    schedule: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description="When it begins, in the five fields of a CronJob, or @daily and the like"
    )
    time_zone: Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$")] = (
        Field(default="Etc/UTC", description="By whose clocks")
    )
    duration_seconds: Annotated[int, Field(ge=60, le=2_678_400)] = Field(description="How long it lasts")


class Crds(Section):
    """The definitions of the resources."""

    enabled: bool = Field(default=True, description="Install and upgrade the CRDs with the chart")
    keep: bool = Field(
        default=True,
        description="Leave the CRDs, and with them every resource of yours, when the release is uninstalled",
    )


class ServiceAccount(Section):
    """Whom the operator is for the API server."""

    create: bool = Field(default=True, description="Create the operator's ServiceAccount")
    name: NameOrNone = Field(
        default="", description="Its name. Empty: the operator's own name, or `default` when none is created"
    )
    annotations: dict[str, str] = Field(
        default={},
        description="Annotations of it. Workload identities belong to the ServiceAccounts of Jobs (`spec.job.serviceAccountName`)",
    )


class Rights(Section):
    """Roles of the operator and of people."""

    create: bool = Field(default=True, description="Create the operator's roles and bindings")
    user_roles: bool = Field(
        default=True,
        description="Create ClusterRoles for people, to be bound by you: view, backup-operator, data-remover, "
        "restore-requester, migrator, approver",
    )
    aggregate_view: bool = Field(
        default=True,
        description="Whoever has `view`, `edit` or `admin` in a namespace sees the resources there (never the Secrets that they name)",
    )


class Amounts(Section):
    """What a container is given."""

    requests: dict[str, Quantity] = Field(
        default={"cpu": "50m", "memory": "128Mi"}, description="What is reserved for the operator"
    )
    limits: dict[str, Quantity] = Field(
        default={"memory": "384Mi"},
        description="What the operator must not exceed. It needs no more for thousands of resources; Jobs have limits of their own",
    )


class Budget(Section):
    """What a drained node must leave standing."""

    enabled: bool = Field(
        default=True,
        description="A PodDisruptionBudget of one unavailable replica at most; it never blocks a drain, also with one replica",
    )


class NetworkPolicy(Section):
    """What may reach the operator, and what it may reach."""

    enabled: bool = Field(
        default=False,
        description="A NetworkPolicy for the operator: in to the metrics' port, out to DNS and the API server. "
        "Off by default, because the port of an API server behind its Service differs, and a wrong one stops the operator. "
        "Jobs run in your namespaces, where a chart of this namespace cannot select them: README.md has a policy for them",
    )
    api_server_ports: list[Port] = Field(
        default=[443, 6443, 8443, 16443],
        min_length=1,
        description="Ports at which the API server may be, as seen behind its Service (`kubectl get endpointslices kubernetes`)",
    )
    metrics_from: list[Object] = Field(
        default=[],
        description="Who may come in, as in a NetworkPolicy's `from`. Empty: everybody. Probes come from the node, which is mostly let in",
    )


class PodMonitor(Section):
    """Prometheus Operator's object for scraping."""

    enabled: bool = Field(
        default=True,
        description="A PodMonitor of every replica, where the cluster serves `monitoring.coreos.com/v1`",
    )
    interval: Annotated[str, StringConstraints(pattern=r"^[0-9]+(ms|s|m|h)$")] = Field(
        default="30s", description="How often it is scraped"
    )
    labels: dict[str, Label] = Field(
        default={}, description="Labels by which your Prometheus finds it, for example `release: prometheus`"
    )


class PrometheusRule(Section):
    """Prometheus Operator's object for alerts."""

    enabled: bool = Field(
        default=True,
        description="The alert rules of deploy/monitoring, where the cluster serves `monitoring.coreos.com/v1`",
    )
    labels: dict[str, Label] = Field(default={}, description="Labels by which your Prometheus finds it")


class Monitoring(Section):
    """How metrics find Prometheus."""

    scrape_annotations: bool = Field(
        default=True,
        description="`prometheus.io/scrape` on the pods, unless a PodMonitor is there already",
    )
    pod_monitor: PodMonitor = Field(default=PodMonitor(), description="Scraping by Prometheus Operator")
    prometheus_rule: PrometheusRule = Field(default=PrometheusRule(), description="Alerts by Prometheus Operator")


class Exempt(Section):
    """Accounts to which a policy does not apply."""

    users: list[Annotated[str, StringConstraints(min_length=1, max_length=512)]] = Field(
        default=[],
        description="Users, for example `system:serviceaccount:argocd:argocd-application-controller`",
    )
    groups: list[Annotated[str, StringConstraints(min_length=1, max_length=512)]] = Field(
        default=[], description="Groups, for example `system:serviceaccounts:flux-system`"
    )


class Policies(Section):
    """Admission policies, judged by the API server itself; no webhook."""

    enabled: bool = Field(
        default=True,
        description=(
            "Admission policies: who names a Secret must be allowed to get it; who names a ServiceAccount, to create tokens"
            " of it; who has data deleted, to `delete-data`;"
            " who asks and who approves is written down (Kubernetes 1.36 and newer)"
        ),
    )
    actions: list[Literal["Deny", "Warn", "Audit"]] = Field(
        default=["Deny"],
        min_length=1,
        max_length=2,
        json_schema_extra={"not": {"allOf": [{"contains": {"const": "Deny"}}, {"contains": {"const": "Warn"}}]}},
        description="What happens to a request that violates a policy; `Warn` and `Audit` help to try them out",
    )
    secrets_exempt: Exempt = Field(
        default=Exempt(),
        description="Accounts that may name Secrets which they may not read, and ServiceAccounts whose tokens they may not create; "
        "GitOps controllers, if what they apply was reviewed",
    )
    deletion_exempt: Exempt = Field(
        default=Exempt(),
        description="Accounts that may say `deletionPolicy: Delete` without the verb `delete-data`",
    )


class Values(Section):
    """All values."""

    replicas: Annotated[int, Field(ge=0, le=10)] = Field(
        default=2, description="Replicas of the operator. One leads; another takes over within seconds when it is lost"
    )
    watch_namespaces: list[Namespace] = Field(
        default=[],
        json_schema_extra={"uniqueItems": True},
        description="Namespaces that are served; they must exist. Empty: all. With a list the operator has rights in these namespaces only",
    )
    scale_namespaces: list[Namespace] = Field(
        default=[],
        json_schema_extra={"uniqueItems": True},
        description="Namespaces in which the operator may stop and start Deployments and StatefulSets, around a restore in mode `Replace`; "
        "they must exist. Empty: none",
    )
    freeze_windows: Annotated[list[FreezeWindow], Field(max_length=50)] = Field(
        default=[],
        description="Times in which no RestoreRequest and no DatabaseMigration begins to write: `schedule`, `timeZone`, `durationSeconds`. "
        "Plans are made all the same; docs/install.md",
    )
    image: Image = Field(default=Image(), description="The one image, of the operator and of every Job")
    image_pull_secrets: list[PullSecret] = Field(
        default=[],
        description="Secrets that open the registry for the operator. Jobs take `spec.job.imagePullSecrets`, in their own namespaces",
    )
    fullname_override: Annotated[str, StringConstraints(max_length=40, pattern=r"^([a-z]([a-z0-9-]*[a-z0-9])?)?$")] = (
        Field(
            default="",
            description="What every name begins with. Empty: the release's name, with `-dbcustody` if it lacks that",
        )
    )
    crds: Crds = Field(default=Crds(), description="The definitions of the resources")
    service_account: ServiceAccount = Field(default=ServiceAccount(), description="Whom the operator is")
    rbac: Rights = Field(default=Rights(), description="Roles of the operator and of people")
    policies: Policies = Field(default=Policies(), description="Admission policies, without a webhook")
    monitoring: Monitoring = Field(default=Monitoring(), description="Metrics and alerts")
    network_policy: NetworkPolicy = Field(default=NetworkPolicy(), description="The operator's NetworkPolicy")
    pod_disruption_budget: Budget = Field(default=Budget(), description="The operator's PodDisruptionBudget")
    resources: Amounts = Field(default=Amounts(), description="Requests and limits of the operator")
    priority_class_name: NameOrNone = Field(default="", description="The pods' PriorityClass")
    node_selector: dict[str, Label] = Field(default={}, description="Labels that a node must have")
    tolerations: list[Object] = Field(default=[], description="Taints of nodes that the pods may run beside")
    affinity: Object = Field(default={}, description="The pods' affinity")
    topology_spread_constraints: list[Object] = Field(
        default=[], description="How the replicas are spread. Empty: over nodes, as far as that is possible"
    )
    extra_env: list[Object] = Field(default=[], description="More environment variables of the operator")
    extra_env_from: list[Object] = Field(default=[], description="More sources of environment variables")
    extra_volumes: list[Volume] = Field(default=[], description="More volumes of the pods; no `hostPath`")
    extra_volume_mounts: list[Object] = Field(default=[], description="Where those volumes are mounted")
    extra_labels: dict[str, Label] = Field(
        default={}, description="Labels on everything but CRDs; those of the chart win"
    )
    deployment_annotations: dict[str, str] = Field(default={}, description="Annotations of the Deployment")
    pod_labels: dict[str, Label] = Field(default={}, description="Labels of the pods; those of the chart win")
    pod_annotations: dict[str, str] = Field(default={}, description="Annotations of the pods")
    extra_objects: list[Object | str] = Field(
        default=[],
        description="More manifests of yours, as objects or text; both may use the chart's templates",
    )
    global_: Object = Field(
        default={}, alias="global", description="Not used; Helm hands it to charts that are part of another"
    )
