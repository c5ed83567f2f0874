{{/* What goes out of the pods. */}}

{{- define "postrider.dnsEgress" -}}
- ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
{{- end }}

{{/* The port that a URL of one host leads to. */}}
{{- define "postrider.portOf" -}}
{{- $usual := dict "http" "80" "https" "443" "mqtt" "1883" "mqtts" "8883" "ws" "80" "wss" "443" -}}
{{- $url := urlParse . -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (index $usual $url.scheme) -}}
{{- end -}}

{{/*
The ports of store and bus, as a JSON list. A URL says its own; one in a Secret cannot be looked into, and Sentinel, Cluster and SRV
records name further hosts: for those also the usual ports.
*/}}
{{- define "postrider.storePorts" -}}
{{- $v := .Values -}}
{{- $ports := list -}}
{{- if $v.networkPolicy.store.ports -}}
{{- $ports = $v.networkPolicy.store.ports -}}
{{- else if ne $v.store.type "file" -}}
{{- $redis := list 6379 6380 26379 -}}
{{- $usual := dict "redis" $redis "mongodb" (list 27017) -}}
{{- if not $v.evaluationRedis.enabled -}}
{{- $ports = include "postrider.portsOf" (dict "place" (index $v.store $v.store.type) "usual" (index $usual $v.store.type)) | fromJsonArray -}}
{{- end -}}
{{- if or $v.bus.url $v.bus.existingSecret.name -}}
{{- $ports = concat $ports (include "postrider.portsOf" (dict "place" $v.bus "usual" $redis) | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- $numbers := list -}}
{{- range $ports -}}{{- $numbers = append $numbers (int .) -}}{{- end -}}
{{- $numbers | uniq | toJson -}}
{{- end -}}

{{/* Those of one place of a store or bus. Takes (dict "place" values "usual" list). */}}
{{- define "postrider.portsOf" -}}
{{- $url := .place.url -}}
{{- $hosts := regexReplaceAll "^[a-z+]+://([^/?]*).*$" $url "${1}" -}}
{{- $ports := list -}}
{{- $silent := false -}}
{{- range splitList "," $hosts -}}
{{- with regexFind ":[0-9]+$" . | trimPrefix ":" -}}{{- $ports = append $ports (int .) -}}{{- else -}}{{- $silent = true -}}{{- end -}}
{{- end -}}
{{- if or $silent (regexMatch "^[a-z]+[+]" $url) -}}{{- $ports = concat $ports .usual -}}{{- end -}}
{{- $ports | toJson -}}
{{- end -}}
