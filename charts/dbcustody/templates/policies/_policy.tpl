{{/* Everybody but the accounts that the values exempt; a list in CEL is written as in JSON. */}}
{{- define "dbcustody.notExempt" -}}
- name: not-exempt
  expression: >-
    !(request.userInfo.username in {{ toJson .users }})
    && !request.userInfo.?groups.orValue([]).exists(group, group in {{ toJson .groups }})
{{- end }}

{{/* Has the policy `name` act, in the namespaces that the operator serves. */}}
{{- define "dbcustody.binding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "dbcustody.labels" .top | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: {{ toJson .top.Values.policies.actions }}
  {{- include "dbcustody.servedNamespaces" .top }}
{{- end }}

{{/* The same for a policy that writes. */}}
{{- define "dbcustody.stampBinding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "dbcustody.labels" .top | nindent 4 }}
spec:
  policyName: {{ .name }}
  {{- include "dbcustody.servedNamespaces" .top }}
{{- end }}

{{- define "dbcustody.servedNamespaces" -}}
{{- with .Values.watchNamespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: In
          values: {{ toJson . }}
{{- end }}
{{- end }}

{{/* Whether the cluster can have a policy write into a request: Kubernetes 1.36 and newer. */}}
{{- define "dbcustody.canStamp" -}}
{{- if and .Values.policies.enabled (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") }}yes{{ end -}}
{{- end }}

{{/* Whether what stands there of requesters and approvers can be believed: it is written, and a lie is refused. */}}
{{- define "dbcustody.isStamped" -}}
{{- if and (include "dbcustody.canStamp" .) (has "Deny" .Values.policies.actions) }}yes{{ end -}}
{{- end }}

{{/*
A policy that whoever writes `resource` must be allowed to read the Secrets that its spec names at `paths`. Each is judged by
itself: the API server allows an expression to ask twice at most who may do what.
An update that leaves the spec as it was passes, so that what was there before the policy can be labelled and deleted.
*/}}
{{- define "dbcustody.secretsPolicy" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ .name }}
  labels:
    {{- include "dbcustody.labels" .top | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [dbcustody.dev]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [{{ .resource }}]
  matchConditions:
    - name: spec-changes
      expression: request.operation == 'CREATE' || object.spec != oldObject.spec
    {{- include "dbcustody.notExempt" .top.Values.policies.secretsExempt | nindent 4 }}
  variables:
    {{- range $name, $path := .paths }}
    - name: {{ $name }}
      expression: object.spec.?{{ $path | replace "." ".?" }}.?name.orValue('')
    {{- end }}
  validations:
    {{- range $name, $path := .paths }}
    - expression: >-
        variables.{{ $name }} == '' || authorizer.group('').resource('secrets').namespace(request.namespace)
        .name(variables.{{ $name }}).check('get').allowed()
      message: must name in spec.{{ $path }} a Secret that you may get, because a Job will use it for you
      messageExpression: >-
        "must name in spec.{{ $path }} a Secret that you may get, because a Job will use it for you: "
        + request.userInfo.username + " may not get Secret " + variables.{{ $name }} + " in namespace " + request.namespace
      reason: Forbidden
    {{- end }}
{{- end }}
