{{/* The name that every object begins with. */}}
{{- define "chunyun.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "chunyun.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{/* Labels of one role: dict "root" $ "role" NAME. */}}
{{- define "chunyun.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "chunyun.labels" -}}
{{ include "chunyun.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: chunyun
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* The pod of one role: dict "root" $ "role" NAME "resources" R. Restricted pod security. */}}
{{- define "chunyun.pod" -}}
{{- $root := .root -}}
{{- $gateway := eq .role "gateway" -}}
{{- $shard := eq .role "inventory-shard" -}}
{{- $discovery := $root.Values.discovery -}}
{{- $kubernetes := eq $discovery.kind "kubernetes" -}}
{{- $consul := eq $discovery.kind "consul" -}}
metadata:
  labels:
    {{- include "chunyun.labels" . | nindent 4 }}
  annotations:
    checksum/config: {{ include (print $root.Template.BasePath "/configmap.yaml") $root | sha256sum }}
    {{- with $root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "chunyun.name" $root }}
  automountServiceAccountToken: {{ $kubernetes }}
  terminationGracePeriodSeconds: {{ $root.Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile:
      type: RuntimeDefault
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: topology.kubernetes.io/zone
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "chunyun.selector" . | nindent 10 }}
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "chunyun.selector" . | nindent 10 }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: chunyun
      image: {{ include "chunyun.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: ["serve", "--config", "/etc/chunyun/chunyun.toml", "--roles", {{ .role | quote }}]
      env:
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        {{- if eq .role "inventory-shard" }}
        # The pod's ordinal is the shard's place on the ring: stable across restarts, not an address.
        - name: CHUNYUN_SHARD
          value: "$(POD_NAME)"
        {{- end }}
        {{- if and $shard $kubernetes }}
        - name: CHUNYUN_DISCOVERY__ADVERTISE
          value: "http://$(POD_NAME).{{ include "chunyun.name" $root }}-inventory-shard:{{ $root.Values.ports.internal }}"
        {{- end }}
        {{- if $consul }}
        - name: NODE_IP
          valueFrom:
            fieldRef:
              fieldPath: status.hostIP
        - name: CHUNYUN_DISCOVERY__CONSUL__ADDRESS
          value: {{ default "http://$(NODE_IP):8500" $discovery.consul.address | quote }}
        {{- with $discovery.consul.tokenSecret }}
        - name: CHUNYUN_DISCOVERY__CONSUL__TOKEN
          valueFrom:
            secretKeyRef:
              name: {{ . }}
              key: token
        {{- end }}
        {{- end }}
        {{- if and $shard $consul }}
        # Not the pod's name: the agent that asks for its health need not know the cluster's names.
        - name: POD_IP
          valueFrom:
            fieldRef:
              fieldPath: status.podIP
        - name: CHUNYUN_DISCOVERY__ADVERTISE
          value: "http://$(POD_IP):{{ $root.Values.ports.internal }}"
        {{- end }}
        {{- $databases := dict "inventory-shard" "journal" "order" "order" "payment" "payment" "waitlist" "waitlist" "sandbox-provider" "sandbox_provider" }}
        {{- with get $databases .role }}
        - name: CHUNYUN_STORAGE__{{ upper . }}
          valueFrom:
            secretKeyRef:
              name: {{ $root.Values.secrets.databases }}
              key: {{ . }}
        {{- end }}
        {{- if and $gateway $root.Values.secrets.redis }}
        - name: CHUNYUN_STORAGE__REDIS
          valueFrom:
            secretKeyRef:
              name: {{ $root.Values.secrets.redis }}
              key: redis
        {{- end }}
      ports:
        - {name: grpc, containerPort: {{ if $gateway }}{{ $root.Values.ports.public }}{{ else }}{{ $root.Values.ports.internal }}{{ end }}}
        {{- if eq .role "payment" }}
        - {name: callbacks, containerPort: {{ $root.Values.ports.callbacks }}}
        {{- end }}
        - {name: metrics, containerPort: {{ $root.Values.ports.metrics }}}
      startupProbe:
        grpc: {port: {{ if $gateway }}{{ $root.Values.ports.public }}{{ else }}{{ $root.Values.ports.internal }}{{ end }}}
        periodSeconds: 2
        failureThreshold: 60
      readinessProbe:
        grpc: {port: {{ if $gateway }}{{ $root.Values.ports.public }}{{ else }}{{ $root.Values.ports.internal }}{{ end }}}
        # The endpoint slices that discovery reads follow this probe.
        periodSeconds: {{ if and $shard $kubernetes }}1{{ else }}3{{ end }}
      livenessProbe:
        tcpSocket: {port: grpc}
        periodSeconds: 10
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: ["ALL"]
      resources:
        {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/chunyun, readOnly: true}
        - {name: keys, mountPath: /etc/chunyun-keys, readOnly: true}
        {{- if $root.Values.timetable.existingClaim }}
        - {name: timetable, mountPath: /timetable, readOnly: true}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "chunyun.name" $root }}
    - name: keys
      secret:
        secretName: {{ $root.Values.secrets.keys }}
        defaultMode: 0440
    {{- with $root.Values.timetable.existingClaim }}
    - name: timetable
      persistentVolumeClaim:
        claimName: {{ . }}
        readOnly: true
    {{- end }}
{{- end -}}
