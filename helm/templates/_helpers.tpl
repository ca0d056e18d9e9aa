{{- define "forewarn.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "forewarn.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "forewarn.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "forewarn.selector" -}}
app.kubernetes.io/name: {{ include "forewarn.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: engine
{{- end -}}

{{/* Of everything: `component` is in the dict beside the root. */}}
{{- define "forewarn.labels" -}}
app.kubernetes.io/name: {{ include "forewarn.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "forewarn.image" -}}
{{- $tag := default .default .image.tag -}}
{{- if .image.digest -}}
{{ printf "%s@%s" .image.repository .image.digest }}
{{- else -}}
{{ printf "%s:%s" .image.repository $tag }}
{{- end -}}
{{- end -}}

{{- define "forewarn.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "forewarn.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "forewarn.many" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) }}true{{ end -}}
{{- end -}}

{{- define "forewarn.shared" -}}
{{- if and .Values.persistence.enabled .Values.persistence.shared.enabled }}true{{ end -}}
{{- end -}}

{{- define "forewarn.sharedClaim" -}}
{{- default (printf "%s-data" (include "forewarn.fullname" .)) .Values.persistence.shared.existingClaim -}}
{{- end -}}

{{- define "forewarn.tokenSecret" -}}
{{- default (printf "%s-token" (include "forewarn.fullname" .)) .Values.token.existingSecret.name -}}
{{- end -}}

{{- define "forewarn.databaseSecret" -}}
{{- if eq .Values.store.mode "bundled" -}}
{{- default (printf "%s-postgresql" (include "forewarn.fullname" .)) .Values.store.bundled.passwordSecret.name -}}
{{- else -}}
{{- required "store.external.passwordSecret.name: name the secret that holds the password" .Values.store.external.passwordSecret.name -}}
{{- end -}}
{{- end -}}

{{- define "forewarn.databaseHost" -}}
{{- if eq .Values.store.mode "bundled" -}}
{{ printf "%s-postgresql" (include "forewarn.fullname" .) }}
{{- else -}}
{{- required "store.external.host: where is the PostgreSQL?" .Values.store.external.host -}}
{{- end -}}
{{- end -}}

{{- define "forewarn.store" -}}
{{- if eq .Values.store.mode "sqlite" -}}
sqlite:////var/lib/forewarn/forewarn.db
{{- else if eq .Values.store.mode "bundled" -}}
{{ printf "postgresql+psycopg://forewarn@%s:5432/forewarn" (include "forewarn.databaseHost" .) }}
{{- else -}}
{{- with .Values.store.external -}}
{{ printf "postgresql+psycopg://%s@%s:%d/%s" .user (include "forewarn.databaseHost" $) (int .port) .database }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The file itself: what the chart knows, over what the user wrote. */}}
{{- define "forewarn.config" -}}
{{- $full := include "forewarn.fullname" . -}}
{{- $names := list $full (printf "%s.%s" $full .Release.Namespace) (printf "%s.%s.svc" $full .Release.Namespace) (printf "%s.%s.svc.cluster.local" $full .Release.Namespace) -}}
{{- $hosts := concat $names .Values.ingress.hosts .Values.hosts | uniq -}}
{{- $web := dict "listen" "0.0.0.0:8750" "hosts" $hosts "token" (dict "file" "/etc/forewarn-token/token") -}}
{{- if .Values.ingress.enabled -}}
{{- $_ := set $web "url" (printf "%s://%s" (ternary "https" "http" (ne .Values.ingress.tlsSecret "")) (first .Values.ingress.hosts)) -}}
{{- end -}}
{{- $own := dict "store" (include "forewarn.store" .) "data" "/var/lib/forewarn" "web" $web "reload_every" .Values.reloadEvery -}}
{{- $config := merge $own (deepCopy .Values.config) -}}
{{- if and .Values.ray.enabled (not (hasKey .Values.config "scale")) -}}
{{- $_ := set $config "scale" (dict "runner" "ray" "address" (printf "ray://%s-ray-head-svc:10001" $full) "workers" (int .Values.ray.workers.replicas)) -}}
{{- end -}}
{{- if .Values.store.keys -}}
{{- $keys := list -}}
{{- range $place, $_ := .Values.store.keys -}}
{{- $keys = append $keys (dict "file" (printf "/etc/forewarn-store-keys/%d" $place)) -}}
{{- end -}}
{{- $_ := set $config "store_keys" $keys -}}
{{- end -}}
{{- if .Values.playbooks -}}
{{- $_ := set $config "playbooks" (append (default list .Values.config.playbooks) "/etc/forewarn-playbooks" | uniq) -}}
{{- end -}}
{{ toYaml $config }}
{{- end -}}

{{- define "forewarn.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "forewarn.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* How a process reaches the store: libpq reads these, so that no password is in any configuration. */}}
{{- define "forewarn.databaseEnv" -}}
{{- if ne .Values.store.mode "sqlite" }}
- name: PGPASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "forewarn.databaseSecret" . }}
      key: {{ ternary .Values.store.bundled.passwordSecret.key .Values.store.external.passwordSecret.key (eq .Values.store.mode "bundled") }}
- name: PGSSLMODE
  value: {{ ternary "prefer" .Values.store.external.sslmode (eq .Values.store.mode "bundled") }}
{{- if eq .Values.store.mode "external" }}
{{- if .Values.store.external.caSecret.name }}
- name: PGSSLROOTCERT
  value: /etc/forewarn-database/ca.crt
{{- else if eq .Values.store.external.sslmode "verify-full" }}
- name: PGSSLROOTCERT
  value: system
{{- end }}
{{- end }}
- name: PGCONNECT_TIMEOUT
  value: "10"
{{- end }}
{{- end -}}

{{- define "forewarn.databaseMounts" -}}
{{- if and (eq .Values.store.mode "external") .Values.store.external.caSecret.name }}
- name: database-ca
  mountPath: /etc/forewarn-database
  readOnly: true
{{- end }}
{{- end -}}

{{- define "forewarn.databaseVolumes" -}}
{{- if and (eq .Values.store.mode "external") .Values.store.external.caSecret.name }}
- name: database-ca
  secret:
    secretName: {{ .Values.store.external.caSecret.name }}
    items:
      - {key: {{ .Values.store.external.caSecret.key | quote }}, path: ca.crt}
{{- end }}
{{- end -}}

{{/* A secret's value: what the cluster has, else one made now. */}}
{{- define "forewarn.kept" -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace .name -}}
{{- if and $there (hasKey (default dict $there.data) .key) -}}
{{ index $there.data .key }}
{{- else -}}
{{ printf "%s%s" .prefix (randAlphaNum 43) | b64enc }}
{{- end -}}
{{- end -}}

{{- define "forewarn.refusals" -}}
{{- if and .Values.store.keys (hasKey (default dict .Values.config) "store_keys") -}}
{{- fail "store.keys and config.store_keys: give the keys in one place" -}}
{{- end -}}
{{- if and (eq .Values.store.mode "sqlite") (include "forewarn.many" .) -}}
{{- fail "more than one replica needs store.mode bundled or external: SQLite is one file of one process" -}}
{{- end -}}
{{- if and (eq .Values.store.mode "sqlite") (include "forewarn.shared" .) -}}
{{- fail "persistence.shared needs store.mode bundled or external: SQLite loses its locks on volumes that many mount" -}}
{{- end -}}
{{- if and .Values.persistence.shared.enabled (not .Values.persistence.enabled) -}}
{{- fail "persistence.shared needs persistence.enabled: without it there is no volume to share" -}}
{{- end -}}
{{- end -}}
