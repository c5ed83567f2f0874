{{/* What every container of ours may do: nothing but run. */}}
{{- define "postrider.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "postrider.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Spread over machines and zones as far as it can be, unless the values say otherwise. Takes root and component. */}}
{{- define "postrider.placement" -}}
{{- $pod := (index .root.Values .component).pod -}}
{{- if $pod.affinity }}
affinity:
  {{- toYaml $pod.affinity | nindent 2 }}
{{- else }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "postrider.selector" . | nindent 14 }}
{{- end }}
topologySpreadConstraints:
  {{- if $pod.topologySpreadConstraints }}
  {{- toYaml $pod.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "postrider.selector" . | nindent 8 }}
    {{- if ne .component "single" }}
    # During an update the pods that go do not count, so that those that stay are spread.
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
{{- with $pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* The template of a pod of the product, metadata and spec. Takes (dict "root" $ "component" name). */}}
{{- define "postrider.pod" -}}
{{- $v := .root.Values -}}
{{- $own := index $v .component -}}
{{- $tls := include "postrider.speaksTls" . -}}
{{- $clientCa := and $tls $v.tls.clientCa.existingSecret (ne .component "api") -}}
metadata:
  labels:
    {{- include "postrider.podLabels" . | nindent 4 }}
    {{- with $own.pod.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $own.pod.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "postrider.serviceAccount" .root }}
  automountServiceAccountToken: false
  # A Service called postrider-mqtt would set POSTRIDER_MQTT_PORT to a URL in every pod of the namespace.
  enableServiceLinks: false
  # From SIGTERM on: the node says not ready, waits for the load balancer (no preStop hook is needed for that, and the image has
  # no shell for one), lets its devices go at a set pace and ends by itself before its deadline. The rest is for the kubelet.
  terminationGracePeriodSeconds: {{ add (int $own.drain.deadlineSeconds) 10 }}
  securityContext:
    {{- include "postrider.podSecurity" .root | nindent 4 }}
  {{- with $v.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- include "postrider.placement" . | trim | nindent 2 }}
  containers:
    - name: postrider
      image: {{ include "postrider.image" (dict "image" $v.image "tag" .root.Chart.AppVersion) }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args: [serve]
      env:
        {{- include "postrider.environment" . | trim | nindent 8 }}
      ports:
        {{- $listeners := include "postrider.listeners" .root | fromJson }}
        {{- range include "postrider.listenersOf" . | fromJsonArray }}
        - name: {{ . }}
          containerPort: {{ (index $listeners .).port }}
          protocol: TCP
        {{- end }}
        - name: admin
          containerPort: 9090
          protocol: TCP
      # A store that is away makes a node not ready; only one that does not answer at all is started anew.
      startupProbe:
        httpGet: { path: /livez, port: admin }
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: { path: /livez, port: admin }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: admin }
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      resources:
        {{- toYaml $own.resources | nindent 8 }}
      securityContext:
        {{- include "postrider.containerSecurity" .root | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        - name: secrets
          mountPath: /etc/postrider/secrets
          readOnly: true
        {{- if eq .component "single" }}
        - name: data
          mountPath: /var/lib/postrider
        {{- end }}
        {{- if $tls }}
        - name: tls
          mountPath: /etc/postrider/tls
          readOnly: true
        {{- end }}
        {{- if $clientCa }}
        - name: client-ca
          mountPath: /etc/postrider/client-ca
          readOnly: true
        {{- end }}
        {{- with $own.pod.volumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 32Mi
    # As a folder, so that what is written to the Secret comes in without a restart.
    - name: secrets
      secret:
        secretName: {{ include "postrider.secretName" .root }}
        defaultMode: 0440
        items:
          - { key: {{ $v.secrets.apiKeyKey | quote }}, path: api-key }
          - { key: {{ $v.secrets.tokenSecretKey | quote }}, path: token-secret }
    {{- if $tls }}
    # Mounted as a folder, so that a new certificate comes in without a restart.
    - name: tls
      secret:
        secretName: {{ include "postrider.tlsSecret" .root }}
        defaultMode: 0440
    {{- end }}
    {{- if $clientCa }}
    - name: client-ca
      secret:
        secretName: {{ $v.tls.clientCa.existingSecret }}
        defaultMode: 0440
    {{- end }}
    {{- if and (eq .component "single") $v.store.file.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ $v.store.file.existingClaim }}
    {{- end }}
    {{- with $own.pod.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
