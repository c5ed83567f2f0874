{{/*
The environment of a node. Takes (dict "root" $ "component" name). Everything is in the environment and nothing in flags, which
every user of a machine can see; what is secret comes by reference.
*/}}
{{- define "postrider.environment" -}}
{{- $v := .root.Values -}}
{{- $c := .component -}}
{{- $own := index $v $c -}}
{{- $full := include "postrider.fullname" .root -}}
{{- $env := dict
  "ROLE" (ternary "all" $c (eq $c "single"))
  "HOST" $v.listenAddress
  "LOG_LEVEL" $v.logLevel
  "ADMIN_PORT" "9090"
  "AUTH" $v.auth.mode
  "TOKEN_MAX_TTL" $v.auth.tokenMaxTtl
  "DRAIN_DELAY" (printf "%ds" (int $own.drain.delaySeconds))
  "DRAIN_DEADLINE" (printf "%ds" (int $own.drain.deadlineSeconds))
-}}
{{- range $key, $value := $v.config -}}
{{- $text := ternary (join "," $value) (toString $value) (kindIs "slice" $value) -}}
{{- /* A whole number of a file of values is a float here, and would be written as 1e+06. */ -}}
{{- if and (kindIs "float64" $value) (eq $value (floor $value)) -}}{{- $text = printf "%v" (int64 $value) -}}{{- end -}}
{{- $_ := set $env ($key | upper | replace "-" "_") $text -}}
{{- end -}}
{{- range $name, $listener := include "postrider.listeners" .root | fromJson -}}
{{- if eq $listener.component $c -}}
{{- $_ := set $env (printf "%s_PORT" (upper $name)) (ternary (toString $listener.port) "off" $listener.on) -}}
{{- end -}}
{{- end -}}
{{- if ne $c "api" -}}
{{- $_ := set $env "CONNECTIONS_MAX" (toString (int $own.connectionsMax)) -}}
{{- $_ := set $env "DRAIN_RATE" (printf "%d/s" (int $own.drain.devicesPerSecond)) -}}
{{- if $v.proxyProtocol -}}{{- $_ := set $env "PROXY_PROTOCOL" "true" -}}{{- end -}}
{{- end -}}
{{- with $v.trustProxy -}}{{- $_ := set $env "TRUST_PROXY" (join "," .) -}}{{- end -}}
{{- with $v.auth.jwks.url -}}{{- $_ := set $env "TOKEN_JWKS" . -}}{{- end -}}
{{- with $v.auth.jwks.issuer -}}{{- $_ := set $env "TOKEN_ISSUER" . -}}{{- end -}}
{{- with $v.auth.jwks.audience -}}{{- $_ := set $env "TOKEN_AUDIENCE" . -}}{{- end -}}
{{- with $v.tracing.endpoint -}}
{{- $_ := set $env "OTEL_ENDPOINT" . -}}
{{- $_ := set $env "OTEL_RATIO" (regexReplaceAll "[.]?0+$" (printf "%.9f" (float64 $v.tracing.ratio)) "") -}}
{{- end -}}
{{- if include "postrider.speaksTls" . -}}
{{- $_ := set $env "TLS_CERT" "/etc/postrider/tls/tls.crt" -}}
{{- $_ := set $env "TLS_KEY" "/etc/postrider/tls/tls.key" -}}
{{- if and $v.tls.clientCa.existingSecret (ne $c "api") -}}
{{- $_ := set $env "TLS_CLIENT_CA" (printf "/etc/postrider/client-ca/%s" $v.tls.clientCa.key) -}}
{{- end -}}
{{- end -}}
{{- /* As files, so that a change of the Secret comes in without a restart. */ -}}
{{- $_ := set $env "API_KEY_FILE" "/etc/postrider/secrets/api-key" -}}
{{- $_ := set $env "TOKEN_SECRET_FILE" "/etc/postrider/secrets/token-secret" -}}
{{- $references := list -}}
{{- with $v.tracing.headers.existingSecret -}}
{{- if .name -}}{{- $references = append $references (dict "name" "OTEL_HEADERS" "secret" .name "key" .key) -}}{{- end -}}
{{- end -}}
{{- if eq $v.store.type "file" -}}
{{- $_ := set $env "STORE" "file:/var/lib/postrider/data" -}}
{{- $_ := set $env "DURABILITY" $v.store.file.durability -}}
{{- else -}}
{{- $store := index $v.store $v.store.type -}}
{{- if $v.evaluationRedis.enabled -}}
{{- $_ := set $env "STORE" (printf "redis://%s-redis:6379" $full) -}}
{{- else if $store.url -}}
{{- $_ := set $env "STORE" $store.url -}}
{{- else -}}
{{- $references = append $references (dict "name" "STORE" "secret" $store.existingSecret.name "key" $store.existingSecret.key) -}}
{{- end -}}
{{- if eq $v.store.type "redis" -}}
{{- $_ := set $env "REDIS_WAIT" (toString (int $store.wait)) -}}
{{- if $store.withoutAppendOnlyFile -}}{{- $_ := set $env "REDIS_NO_AOF" "true" -}}{{- end -}}
{{- end -}}
{{- if $v.bus.url -}}
{{- $_ := set $env "BUS" $v.bus.url -}}
{{- else if $v.bus.existingSecret.name -}}
{{- $references = append $references (dict "name" "BUS" "secret" $v.bus.existingSecret.name "key" $v.bus.existingSecret.key) -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := $env }}
- name: POSTRIDER_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $references }}
- name: POSTRIDER_{{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end }}
{{- with $own.pod.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}
