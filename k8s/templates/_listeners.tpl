{{/*
The listeners, as JSON: name → {port, on, component, app}. `port` is the container's, `app` the protocol that meshes and load
balancers may be told: names that IANA has, or Kubernetes. The ports inside a pod never change; those outside are the Services'.
*/}}
{{- define "postrider.listeners" -}}
{{- $v := .Values -}}
{{- $plain := not $v.tls.enabled -}}
{{- $device := include "postrider.deviceComponent" . -}}
{{- $api := include "postrider.apiComponent" . -}}
{{- $on := dict
  "mqtt" (ternary $plain $v.listeners.mqtt (kindIs "invalid" $v.listeners.mqtt))
  "ws" (ternary $plain $v.listeners.ws (kindIs "invalid" $v.listeners.ws))
  "http" (ternary true $v.listeners.http (kindIs "invalid" $v.listeners.http))
  "mqtts" (ternary $v.tls.enabled $v.listeners.mqtts (kindIs "invalid" $v.listeners.mqtts))
  "wss" (ternary $v.tls.enabled $v.listeners.wss (kindIs "invalid" $v.listeners.wss))
  "https" (ternary $v.tls.enabled $v.listeners.https (kindIs "invalid" $v.listeners.https))
-}}
{{- dict
  "mqtt" (dict "port" 1883 "on" $on.mqtt "component" $device "app" "mqtt")
  "mqtts" (dict "port" 8883 "on" $on.mqtts "component" $device "app" "secure-mqtt")
  "ws" (dict "port" 8083 "on" $on.ws "component" $device "app" "kubernetes.io/ws")
  "wss" (dict "port" 8084 "on" $on.wss "component" $device "app" "kubernetes.io/wss")
  "http" (dict "port" 8080 "on" $on.http "component" $api "app" "http")
  "https" (dict "port" 8443 "on" $on.https "component" $api "app" "https")
  | toJson -}}
{{- end -}}

{{/* The names of the listeners of a component that are on, as a JSON list. Takes (dict "root" $ "component" name). */}}
{{- define "postrider.listenersOf" -}}
{{- $names := list -}}
{{- range $name, $listener := include "postrider.listeners" .root | fromJson -}}
{{- if and $listener.on (eq $listener.component $.component) -}}{{- $names = append $names $name -}}{{- end -}}
{{- end -}}
{{- $names | toJson -}}
{{- end -}}

{{/* Whether a component has a listener with TLS: "true" or nothing. */}}
{{- define "postrider.speaksTls" -}}
{{- range include "postrider.listenersOf" . | fromJsonArray -}}
{{- if has . (list "mqtts" "wss" "https") -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* The ports of a Service, for a list of listener names. Takes (dict "root" $ "names" list "ports" values "nodes" bool). */}}
{{- define "postrider.servicePorts" -}}
{{- $listeners := include "postrider.listeners" .root | fromJson -}}
{{- range $name := .names }}
{{- $listener := index $listeners $name }}
{{- if $listener.on }}
- name: {{ $name }}
  port: {{ index $.ports $name }}
  targetPort: {{ $name }}
  protocol: TCP
  appProtocol: {{ $listener.app }}
{{- end }}
{{- end }}
{{- end -}}
