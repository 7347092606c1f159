{{/* What a person should know of the values that were chosen, one line for each that is risky. */}}
{{- define "dbcustody.warnings" -}}
{{- $v := .Values -}}
{{- $image := include "dbcustody.image" . -}}
{{- if not (contains "/" $v.image.repository) }}
WARNING image.repository: {{ $image }} names no registry of yours; pods start only on nodes that have that image already.
{{- end }}
{{- if and (not $v.image.digest) (has $v.image.tag (list "latest" "main" "edge")) }}
WARNING image.tag: {{ $image }} is another image tomorrow; operator and Jobs may then differ. Name a version or a digest.
{{- end }}
{{- if lt (int $v.replicas) 2 }}
WARNING replicas: with {{ $v.replicas }} nobody takes over when the operator is lost; Jobs go on, and nobody records what they did.
{{- end }}
{{- if not $v.crds.enabled }}
WARNING crds.enabled: the CRDs are yours to install and to upgrade, before the chart.
{{- else if not $v.crds.keep }}
WARNING crds.keep: `helm uninstall` deletes every Database, BackupStorage, BackupPolicy and Backup in the cluster.
{{- end }}
{{- if not $v.rbac.create }}
WARNING rbac.create: the operator has no rights but those that you give it; deploy/rights.yaml lists what it needs.
{{- end }}
{{- if not $v.policies.enabled }}
WARNING policies.enabled: whoever may create a Database or BackupStorage can have our Jobs use any Secret and any ServiceAccount of the namespace.
{{- else if not (has "Deny" $v.policies.actions) }}
WARNING policies.actions: without Deny the admission policies refuse nothing.
{{- end }}
{{- with concat $v.policies.secretsExempt.users $v.policies.secretsExempt.groups }}
WARNING policies.secretsExempt: {{ join ", " . }} can name Secrets that they may not read, and ServiceAccounts that are not theirs; review what they apply.
{{- end }}
{{- range $v.scaleNamespaces }}
{{- if and $v.watchNamespaces (not (has . $v.watchNamespaces)) }}
WARNING scaleNamespaces: {{ . }} is not among watchNamespaces, so nothing is restored there, and the right is for nothing.
{{- end }}
{{- end }}
{{- with concat $v.policies.deletionExempt.users $v.policies.deletionExempt.groups }}
WARNING policies.deletionExempt: {{ join ", " . }} can have backups deleted; review what they apply.
{{- end }}
{{- if $v.networkPolicy.enabled }}
WARNING networkPolicy.enabled: the operator reaches an API server at the ports {{ join ", " $v.networkPolicy.apiServerPorts }} only.
{{- end }}
{{- end }}
