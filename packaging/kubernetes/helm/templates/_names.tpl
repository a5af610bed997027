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

{{- /* The name in the manifest; the keys of its root come first in TOML. */ -}}
{{- define "ebpf-apply.deployment" -}}
{{- $line := regexFind "(?m)^name[ \\t]*=[ \\t]*\"[A-Za-z0-9_-]+\"" .Values.manifest -}}
{{- if not $line }}{{ fail "the manifest has no line `name = \"…\"`" }}{{ end -}}
{{- regexFind "[A-Za-z0-9_-]+\"$" $line | trimSuffix "\"" -}}
{{- end -}}
