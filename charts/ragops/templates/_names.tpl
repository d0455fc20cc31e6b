{{- define "ragops.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "ragops.namespaces" -}}
{{- $all := concat (.Values.namespaces | default (list .Release.Namespace)) .Values.drillNamespaces -}}
{{- $all | uniq | sortAlpha | toJson -}}
{{- end -}}

{{- define "ragops.selector" -}}
app.kubernetes.io/name: ragops-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ragops.labels" -}}
{{ include "ragops.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "ragops.lease" -}}
ragops-operator
{{- end -}}
