{{/* Names and labels. A component is one of single, broker, api, redis, test. */}}

{{- define "postrider.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters: the longest suffix and the hashes of pods fit behind it. */}}
{{- define "postrider.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "postrider.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "postrider.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes over upgrades. Takes (dict "root" $ "component" name). */}}
{{- define "postrider.selector" -}}
app.kubernetes.io/name: {{ include "postrider.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "postrider.labels" -}}
{{ include "postrider.selector" . }}
app.kubernetes.io/part-of: postrider
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Of pods: what a new version of the chart alone does not change. Else it would replace every pod, and send every device away. */}}
{{- define "postrider.podLabels" -}}
{{ include "postrider.selector" . }}
app.kubernetes.io/part-of: postrider
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes (dict "image" values "tag" preset). */}}
{{- define "postrider.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "postrider.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "postrider.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "postrider.secretName" -}}
{{- default (printf "%s-secrets" (include "postrider.fullname" .)) .Values.secrets.existingSecret -}}
{{- end -}}

{{- define "postrider.tlsSecret" -}}
{{- default (printf "%s-tls" (include "postrider.fullname" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{/* The components of the product that this release runs, as a JSON list. */}}
{{- define "postrider.components" -}}
{{- if eq .Values.store.type "file" -}}["single"]{{- else -}}["broker","api"]{{- end -}}
{{- end -}}

{{/* The component that serves devices, and the one that takes pushes. */}}
{{- define "postrider.deviceComponent" -}}{{ ternary "single" "broker" (eq .Values.store.type "file") }}{{- end -}}
{{- define "postrider.apiComponent" -}}{{ ternary "single" "api" (eq .Values.store.type "file") }}{{- end -}}
