{{- define "ebpf-apply.name" -}}
{{- if contains "ebpf-apply" .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-ebpf-apply" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ebpf-apply.selector" -}}
app.kubernetes.io/name: ebpf-apply
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ebpf-apply.labels" -}}
{{ include "ebpf-apply.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
