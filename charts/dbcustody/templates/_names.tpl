{{/* What every name begins with: short enough that no name is cut, whatever is put behind it. */}}
{{- define "dbcustody.name" -}}
{{- $own := ternary .Release.Name (printf "%s-dbcustody" .Release.Name) (contains "dbcustody" .Release.Name) -}}
{{- .Values.fullnameOverride | default $own | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "dbcustody.operator" -}}
{{ include "dbcustody.name" . }}-operator
{{- end }}

{{- define "dbcustody.account" -}}
{{- .Values.serviceAccount.name | default (ternary (include "dbcustody.operator" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "dbcustody.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{/* By what the operator's pods are found: it must never change, as a Deployment's selector cannot. */}}
{{- define "dbcustody.selector" -}}
app.kubernetes.io/name: dbcustody
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "dbcustody.labels" -}}
{{- $own := include "dbcustody.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "dbcustody" -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_")) -}}
{{- toYaml (merge $own .Values.extraLabels) -}}
{{- end }}

{{- define "dbcustody.scraped" -}}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" -}}yes{{- end -}}
{{- end }}

{{- define "dbcustody.subject" -}}
- kind: ServiceAccount
  name: {{ include "dbcustody.account" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
