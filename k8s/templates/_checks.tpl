{{/*
Combinations that a schema cannot refuse in words. Everything that is wrong is told at once, each with what would be right.
*/}}
{{- define "postrider.checks" -}}
{{- $v := .Values -}}
{{- $wrong := list -}}
{{- $type := $v.store.type -}}
{{- $store := index $v.store $type -}}
{{- if eq $type "file" -}}
{{- if or (gt (int $v.broker.replicas) 1) (gt (int $v.api.replicas) 1) -}}
{{- $wrong = append $wrong "store.type is file, which is of one process: leave broker.replicas and api.replicas unset, or set store.type to redis or mongodb" -}}
{{- end -}}
{{- if $v.api.autoscaling.enabled -}}
{{- $wrong = append $wrong "store.type is file, which is of one process: set api.autoscaling.enabled to false, or store.type to redis or mongodb" -}}
{{- end -}}
{{- if or $v.bus.url $v.bus.existingSecret.name -}}
{{- $wrong = append $wrong "store.type is file, which is of one process and needs no bus: leave bus.url and bus.existingSecret.name empty" -}}
{{- end -}}
{{- if $v.evaluationRedis.enabled -}}
{{- $wrong = append $wrong "evaluationRedis is enabled, but nothing would use it: set store.type to redis" -}}
{{- end -}}
{{- else -}}
{{- $ways := list -}}
{{- with $store.url -}}{{- $ways = append $ways "url" -}}{{- end -}}
{{- with $store.existingSecret.name -}}{{- $ways = append $ways "secret" -}}{{- end -}}
{{- if $v.evaluationRedis.enabled -}}
{{- if eq $type "redis" -}}{{- $ways = append $ways "evaluation" -}}
{{- else -}}{{- $wrong = append $wrong "evaluationRedis is a store, and store.type is mongodb: set evaluationRedis.enabled to false, and bus to a Redis of your own" -}}
{{- end -}}
{{- end -}}
{{- if ne (len $ways) 1 -}}
{{- $wrong = append $wrong (printf "store.type is %s: say where it is by exactly one of store.%s.url, store.%s.existingSecret.name%s" $type $type $type (ternary " and evaluationRedis.enabled" "" (eq $type "redis"))) -}}
{{- end -}}
{{- if and (eq $type "mongodb") (not $v.bus.url) (not $v.bus.existingSecret.name) -}}
{{- $wrong = append $wrong "store.type is mongodb, which has no bus of its own: set bus.url or bus.existingSecret.name to a Redis" -}}
{{- end -}}
{{- if and $v.bus.url $v.bus.existingSecret.name -}}
{{- $wrong = append $wrong "bus.url and bus.existingSecret.name are both set: keep one" -}}
{{- end -}}
{{- if and $v.api.autoscaling.enabled (not (kindIs "invalid" $v.api.replicas)) -}}
{{- $wrong = append $wrong "api.replicas and api.autoscaling.enabled contradict each other: keep one" -}}
{{- end -}}
{{- if gt (int $v.api.autoscaling.minReplicas) (int $v.api.autoscaling.maxReplicas) -}}
{{- $wrong = append $wrong "api.autoscaling.minReplicas is more than api.autoscaling.maxReplicas" -}}
{{- end -}}
{{- range $name := list "broker" "api" -}}
{{- $own := index $v $name -}}
{{- if and (has (toString $own.maxSurge) (list "0" "0%")) (has (toString $own.maxUnavailable) (list "0" "0%")) -}}
{{- $wrong = append $wrong (printf "%s.maxSurge and %s.maxUnavailable are both 0: no pod could ever be replaced" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $place := dict "store.redis" $v.store.redis "store.mongodb" $v.store.mongodb "bus" $v.bus -}}
{{- if contains "@" $place.url -}}
{{- $wrong = append $wrong (printf "%s.url has a user or a password, which whoever may read the release could see: put the URL into a Secret, and name it in %s.existingSecret.name" $name $name) -}}
{{- end -}}
{{- end -}}
{{- $elsewhere := list
  (list "^workers$" "broker.replicas and api.replicas: a pod is one node, and more pods are spread, drained and counted one by one")
  (list "^(store|redis-.*|durability)$" "store")
  (list "^bus$" "bus")
  (list "^(auth|token-.*)$" "auth")
  (list "^tls-.*$" "tls")
  (list "^proxy-protocol$" "proxyProtocol")
  (list "^trust-proxy$" "trustProxy")
  (list "^log-level$" "logLevel")
  (list "^otel-.*$" "tracing")
  (list "^host$" "listenAddress")
  (list "^connections-max$" "broker.connectionsMax (single.connectionsMax with a file store)")
  (list "^drain-.*$" "broker.drain, api.drain (single.drain with a file store)")
  (list "^(mqtt|ws|http|mqtts|wss|https)-port$" "listeners")
-}}
{{- range $key, $value := $v.config -}}
{{- range $elsewhere -}}
{{- if regexMatch (first .) $key -}}{{- $wrong = append $wrong (printf "config.%s is said elsewhere: use %s" $key (last .)) -}}{{- end -}}
{{- end -}}
{{- if regexMatch "^(role|admin-.*)$" $key -}}{{- $wrong = append $wrong (printf "config.%s is decided by the chart: leave it out" $key) -}}{{- end -}}
{{- end -}}
{{- range $name := include "postrider.components" . | fromJsonArray -}}
{{- $drain := (index $v $name).drain -}}
{{- $needs := add (int $drain.delaySeconds) 6 -}}
{{- if ne $name "api" -}}
{{- $needs = add $needs (ceil (divf (int (index $v $name).connectionsMax) (int $drain.devicesPerSecond)) | int) -}}
{{- end -}}
{{- if lt (int $drain.deadlineSeconds) (int $needs) -}}
{{- $wrong = append $wrong (printf "%s.drain.deadlineSeconds is %d, but the delay, letting all devices of a full node go at that pace, and the end take %d: raise it to that%s" $name (int $drain.deadlineSeconds) (int $needs) (ternary "" ", or devicesPerSecond, or lower connectionsMax" (eq $name "api"))) -}}
{{- end -}}
{{- end -}}
{{- $listeners := include "postrider.listeners" . | fromJson -}}
{{- range $name := list "mqtts" "wss" "https" -}}
{{- if and (index $listeners $name).on (not $v.tls.enabled) -}}
{{- $wrong = append $wrong (printf "listeners.%s is true, but there is no certificate: set tls.enabled" $name) -}}
{{- end -}}
{{- end -}}
{{- if not (or $listeners.mqtt.on $listeners.ws.on $listeners.mqtts.on $listeners.wss.on) -}}
{{- $wrong = append $wrong "no device could connect: set one of listeners.mqtt, ws, mqtts, wss" -}}
{{- end -}}
{{- if not (or $listeners.http.on $listeners.https.on) -}}
{{- $wrong = append $wrong "nobody could push: set listeners.http or listeners.https" -}}
{{- end -}}
{{- if $v.tls.enabled -}}
{{- if eq (ternary 1 0 $v.tls.certManager.enabled) (ternary 1 0 (ne $v.tls.existingSecret "")) -}}
{{- $wrong = append $wrong "tls.enabled: the certificate is either in tls.existingSecret or made by tls.certManager.enabled; set one of the two" -}}
{{- end -}}
{{- if and $v.tls.certManager.enabled (or (not $v.tls.certManager.issuerRef.name) (not $v.tls.certManager.dnsNames)) -}}
{{- $wrong = append $wrong "tls.certManager: say who signs (issuerRef.name) and for which names (dnsNames)" -}}
{{- end -}}
{{- else if or $v.tls.existingSecret $v.tls.certManager.enabled $v.tls.clientCa.existingSecret -}}
{{- $wrong = append $wrong "tls: a certificate or client CA is given, but nothing would use it: set tls.enabled" -}}
{{- end -}}
{{- if $v.ingress.enabled -}}
{{- if not (or $v.ingress.api $v.ingress.ws) -}}{{- $wrong = append $wrong "ingress.enabled, but it leads nowhere: set ingress.api or ingress.ws" -}}{{- end -}}
{{- if and $v.ingress.api (not $listeners.http.on) -}}{{- $wrong = append $wrong "ingress.api leads to the listener http, which is off: set listeners.http" -}}{{- end -}}
{{- if and $v.ingress.ws (not $listeners.ws.on) -}}{{- $wrong = append $wrong "ingress.ws leads to the listener ws, which is off: set listeners.ws (the Ingress ends TLS), or ingress.ws to false" -}}{{- end -}}
{{- if and $v.ingress.ws $v.proxyProtocol -}}{{- $wrong = append $wrong "ingress.ws: an Ingress speaks HTTP, and with proxyProtocol the listener ws takes only connections with a PROXY header: set one of the two to false" -}}{{- end -}}
{{- end -}}
{{- if and $v.gateway.mqtt.enabled (not $v.gateway.enabled) -}}
{{- $wrong = append $wrong "gateway.mqtt.enabled, but gateway.enabled is not: set it too (and gateway.api and gateway.ws to false, if MQTT alone is wanted)" -}}
{{- end -}}
{{- if $v.gateway.enabled -}}
{{- if not (or $v.gateway.api $v.gateway.ws $v.gateway.mqtt.enabled) -}}{{- $wrong = append $wrong "gateway.enabled, but it leads nowhere: set gateway.api, gateway.ws or gateway.mqtt.enabled" -}}{{- end -}}
{{- if not $v.gateway.parentRefs -}}{{- $wrong = append $wrong "gateway.enabled: name the Gateway in gateway.parentRefs" -}}{{- end -}}
{{- if and $v.gateway.api (not $listeners.http.on) -}}{{- $wrong = append $wrong "gateway.api leads to the listener http, which is off: set listeners.http" -}}{{- end -}}
{{- if and $v.gateway.ws (not $listeners.ws.on) -}}{{- $wrong = append $wrong "gateway.ws leads to the listener ws, which is off: set listeners.ws (the Gateway ends TLS), or gateway.ws to false" -}}{{- end -}}
{{- if $v.gateway.mqtt.enabled -}}
{{- $leads := include "postrider.gatewayListener" . -}}
{{- if not (index $listeners $leads).on -}}{{- $wrong = append $wrong (printf "gateway.mqtt leads to the listener %s, which is off: set listeners.%s, gateway.mqtt.listener to the other one (mqtt: the Gateway ends TLS, mqtts: it passes TLS through), or gateway.mqtt.enabled to false" $leads $leads) -}}{{- end -}}
{{- if and (eq $v.gateway.mqtt.kind "TLSRoute") (not (or $v.gateway.mqtt.hostnames $v.gateway.hostnames)) -}}{{- $wrong = append $wrong "gateway.mqtt.kind is TLSRoute, which goes by the name that a client asks for: name them in gateway.mqtt.hostnames" -}}{{- end -}}
{{- end -}}
{{- if and $v.gateway.ws $v.proxyProtocol -}}{{- $wrong = append $wrong "gateway.ws: with proxyProtocol the listener ws takes only connections with a PROXY header: set one of the two to false" -}}{{- end -}}
{{- end -}}
{{- if and $v.tls.enabled (kindIs "invalid" $v.listeners.http) (ne $v.service.api.type "ClusterIP") -}}
{{- $wrong = append $wrong (printf "service.api.type is %s, and its listener http, which has no TLS, would be reached from outside, too: set listeners.http to false, or to true if that is meant" $v.service.api.type) -}}
{{- end -}}
{{- $byAddress := list -}}
{{- range list "connections-per-address" "connect-rate-per-address" "publish-rate-per-address" "request-rate-per-address" -}}
{{- if ne (toString (index $v.config . | default "off")) "off" -}}{{- $byAddress = append $byAddress (printf "config.%s" .) -}}{{- end -}}
{{- end -}}
{{- if and $byAddress (or $v.ingress.enabled $v.gateway.enabled) (not $v.trustProxy) -}}
{{- $wrong = append $wrong (printf "%s: behind an Ingress or a Gateway every client has its address, and all would share one limit: name its addresses in trustProxy" (join ", " $byAddress)) -}}
{{- end -}}
{{- if $v.tracing.endpoint -}}
{{- else if or $v.tracing.headers.existingSecret.name (gt (float64 $v.tracing.ratio) 0.0) -}}
{{- $wrong = append $wrong "tracing: a ratio or headers are given, but nobody would get the traces: set tracing.endpoint" -}}
{{- end -}}
{{- if and (hasSuffix "DualStack" $v.service.ipFamilyPolicy) (ne $v.listenAddress "::") -}}
{{- $wrong = append $wrong (printf "service.ipFamilyPolicy is %s, but the pods listen on IPv4 alone: set listenAddress to '::'" $v.service.ipFamilyPolicy) -}}
{{- end -}}
{{- if and $v.api.autoscaling.enabled (not (dig "requests" "cpu" "" ($v.api.resources | default dict))) -}}
{{- $wrong = append $wrong "api.autoscaling goes by the CPU that pods request: set api.resources.requests.cpu" -}}
{{- end -}}
{{- range $where, $labels := dict "commonLabels" $v.commonLabels "single.pod.labels" $v.single.pod.labels "broker.pod.labels" $v.broker.pod.labels "api.pod.labels" $v.api.pod.labels -}}
{{- range $key, $_ := $labels -}}
{{- if or (hasPrefix "app.kubernetes.io/" $key) (eq $key "helm.sh/chart") -}}{{- $wrong = append $wrong (printf "%s.%s is set by the chart, which finds its own by it: take another key" $where $key) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.proxyProtocol (not $v.trustProxy) -}}
{{- $wrong = append $wrong "proxyProtocol: name the load balancers that are believed in trustProxy, or everybody could claim any address" -}}
{{- end -}}
{{- if and $v.metrics.podMonitor.enabled $v.metrics.serviceMonitor.enabled -}}
{{- $wrong = append $wrong "metrics.podMonitor and metrics.serviceMonitor are both enabled: every node would be counted twice; keep one" -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n\nThese values cannot be:\n- %s\n" (join "\n- " $wrong)) -}}
{{- end -}}
{{- end -}}
