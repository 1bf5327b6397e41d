{{- define "quantd.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels that select the pods of a component: a list of the root and the component's name. */}}
{{- define "quantd.selector" -}}
app.kubernetes.io/name: quantd
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "quantd.labels" -}}
{{ include "quantd.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end -}}

{{- define "quantd.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "quantd.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "quantd.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* The parts of a pod that all components share: no privileges, and no access to the Kubernetes API. */}}
{{- define "quantd.pod" -}}
serviceAccountName: {{ include "quantd.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "quantd.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "quantd.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The environment of gateways and workers; Kubernetes fills $(...) in. */}}
{{- define "quantd.environment" -}}
{{- if and .Values.valkey.enabled .Values.redis.existingSecret }}
{{- fail "set either redis.existingSecret or valkey.enabled, not both" }}
{{- end -}}
- {name: QUANTD_AUTH, value: required}
{{- if .Values.valkey.enabled }}
- name: VALKEY_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ required "valkey.existingSecret names a Secret with the key `password`" .Values.valkey.existingSecret }}, key: password}}
- {name: QUANTD_REDIS_URL, value: "redis://:$(VALKEY_PASSWORD)@{{ include "quantd.name" . }}-valkey:6379/0"}
{{- else }}
- name: QUANTD_REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ required "redis.existingSecret names a Secret with the key `url`; or set valkey.enabled" .Values.redis.existingSecret }}, key: url}}
{{- end }}
- {name: QUANTD_STORE_URL, value: {{ required "store.url names the object store, as s3://bucket/prefix" .Values.store.url | quote }}}
{{- range $name, $value := .Values.settings }}
- {name: QUANTD_{{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- range $name, $value := .Values.store.environment }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "quantd.storeSecret" -}}
{{- with .Values.store.existingSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end -}}

{{- define "quantd.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
