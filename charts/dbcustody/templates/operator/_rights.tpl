{{- /* Made by `make chart` from deploy/rights.yaml. */ -}}
{{- define "dbcustody.rights" -}}
rules:
  - apiGroups: [dbcustody.dev]
    resources: [databases, backupstorages, backuppolicies, backups]
    verbs: [get, list, watch, create, patch, delete]
  # What people ask for is theirs: the operator says what became of it, and makes and deletes none.
  - apiGroups: [dbcustody.dev]
    resources: [restorerequests, approvals, databasemigrations]
    verbs: [get, list, watch]
  # A finalizer on those that take a database's place: the workloads that they stopped must come back whatever becomes of them.
  - apiGroups: [dbcustody.dev]
    resources: [restorerequests]
    verbs: [patch]
  - apiGroups: [dbcustody.dev]
    resources: [databases/status, backupstorages/status, backuppolicies/status, backups/status, restorerequests/status, approvals/status, databasemigrations/status]
    verbs: [patch]
  # Owner references with blockOwnerDeletion need this where OwnerReferencesPermissionEnforcement is on.
  - apiGroups: [dbcustody.dev]
    resources: [databases/finalizers, backupstorages/finalizers, backuppolicies/finalizers, backups/finalizers, restorerequests/finalizers, databasemigrations/finalizers]
    verbs: [update]
  - apiGroups: [batch]
    resources: [jobs, cronjobs]
    verbs: [get, list, watch, create, patch, delete]
  - apiGroups: [""]
    resources: [pods]
    verbs: [get, list, watch]
  - apiGroups: [""]
    resources: [pods/log]
    verbs: [get]
  - apiGroups: [""]
    resources: [events]
    verbs: [list, watch, create, patch]
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [get, list, watch, create, patch, delete]
  - apiGroups: [""]
    resources: [namespaces, persistentvolumeclaims]
    verbs: [get]
{{- end }}

{{- define "dbcustody.scaling" -}}
rules:
  - apiGroups: [apps]
    resources: [deployments/scale, statefulsets/scale]
    verbs: [get, patch]
{{- end }}
