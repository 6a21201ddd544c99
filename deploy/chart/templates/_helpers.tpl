{{/* The two label keys. Selectors, the CEL condition and the notes all take them from here. */}}
{{- define "javelin.key" -}}
instrumentation.opentelemetry.io/inject-java
{{- end }}
{{- define "javelin.privateKey" -}}
javelin.dev/from-workload
{{- end }}

{{- define "javelin.name" -}}
{{- default .Chart.Name .Values.nameOverride | replace "." "-" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* A release name may hold dots, a Service name may not. */}}
{{- define "javelin.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- $name = .Release.Name -}}
{{- else -}}
{{- $name = printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- $name | replace "." "-" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Where Javelin's own objects are. */}}
{{- define "javelin.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end }}

{{- define "javelin.selectorLabels" -}}
app.kubernetes.io/name: {{ include "javelin.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "javelin.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "javelin.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* What stands below `metadata` of an object. `root` is the chart's scope; `labels` and `annotations` are the object's own,
`component` sets it apart from others that carry the same labels, and `cluster` is true where it has no namespace. */}}
{{- define "javelin.metadata" -}}
{{- $root := .root -}}
{{- $labels := merge (deepCopy (default dict .labels)) (default dict $root.Values.commonLabels) -}}
{{- $annotations := merge (deepCopy (default dict .annotations)) (default dict $root.Values.commonAnnotations) -}}
name: {{ default (include "javelin.fullname" $root) .name }}
{{- if not .cluster }}
namespace: {{ default (include "javelin.namespace" $root) .namespace | quote }}
{{- end }}
labels:
  {{- include "javelin.labels" $root | nindent 2 }}
  {{- with .component }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
  {{- with $labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "javelin.serviceAccount" -}}
{{- $account := default dict .Values.serviceAccount -}}
{{- default (ternary "default" (include "javelin.fullname" .) (eq (toString $account.create) "false")) $account.name -}}
{{- end }}

{{/* Pull secrets for Javelin's own pods: the chart's, and those that a parent chart shares. */}}
{{- define "javelin.pullSecrets" -}}
{{- $secrets := default list .Values.imagePullSecrets -}}
{{- range default list (default dict .Values.global).imagePullSecrets -}}
{{- $secrets = append $secrets (ternary (dict "name" .) . (kindIs "string" .)) -}}
{{- end -}}
{{- with $secrets | uniq -}}
{{ toYaml . }}
{{- end -}}
{{- end }}

{{/* The filter, and the format of a line. `log` was a text alone once. */}}
{{- define "javelin.logLevel" -}}
{{- if kindIs "string" .Values.log }}{{ .Values.log | default "info" }}{{ else }}{{ .Values.log.level | default "info" }}{{ end -}}
{{- end }}
{{- define "javelin.logFormat" -}}
{{- if kindIs "string" .Values.log }}json{{ else }}{{ .Values.log.format | default "json" }}{{ end -}}
{{- end }}

{{/* How many replicas there are at the least. */}}
{{- define "javelin.fewest" -}}
{{- ternary (.Values.autoscaling).minReplicas .Values.replicas (eq (toString (.Values.autoscaling).enabled) "true") | int -}}
{{- end }}

{{/* Is anything asked to look at the metrics? Then the NetworkPolicy lets it in. */}}
{{- define "javelin.isScraped" -}}
{{- $metrics := default dict .Values.metrics -}}
{{- if or ($metrics.service).enabled ($metrics.serviceMonitor).enabled ($metrics.podMonitor).enabled -}}
true
{{- end -}}
{{- end }}

{{/* A Service's name has 63 letters at most. */}}
{{- define "javelin.metricsName" -}}
{{ include "javelin.fullname" . | trunc 55 | trimSuffix "-" }}-metrics
{{- end }}

{{/* The seconds of a duration such as 90s, 2m, 24h or 730d; a part of a second counts as none. */}}
{{- define "javelin.seconds" -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- mul (trimSuffix $unit . | int64) (get (dict "ms" 0 "s" 1 "m" 60 "h" 3600 "d" 86400) $unit) -}}
{{- end }}

{{- define "javelin.image" -}}
{{- $image := .Values.image -}}
{{- $registry := $image.registry | default (default dict .Values.global).imageRegistry | default "localhost" -}}
{{- $name := printf "%s/%s" (trimSuffix "/" $registry) $image.repository -}}
{{- if $image.digest -}}
{{ $name }}@{{ $image.digest }}
{{- else -}}
{{ $name }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end }}

{{- define "javelin.port" -}}
{{- $port := default (ternary 10260 10250 .Values.hostNetwork) .Values.port | int -}}
{{ $port }}
{{- end }}

{{- define "javelin.adminPort" -}}
{{- default (ternary 10261 8080 .Values.hostNetwork) .Values.adminPort | int -}}
{{- end }}

{{- define "javelin.excludedNamespaces" -}}
{{- append .Values.excludedNamespaces (include "javelin.namespace" .) | uniq | toJson -}}
{{- end }}

{{/* The configuration file. Maps are printed with sorted keys, so the same values give the same bytes. */}}
{{- define "javelin.config" -}}
{{- $default := default dict .Values.default | deepCopy -}}
{{- $own := dict "image" (include "javelin.image" .) "imagePullPolicy" .Values.image.pullPolicy -}}
{{- $_ := set $default "agent" (merge (default dict $default.agent) $own) -}}
{{- with .Values.clusterName -}}
{{- /* Profiles are laid over the default one, so this is every pod's. An attribute of that name says more than we know. */ -}}
{{- $_ := set $default "resourceAttributes" (merge (default dict $default.resourceAttributes) (dict "k8s.cluster.name" .)) -}}
{{- end -}}
{{- range $key := list "otlp" "resourceAttributes" -}}
{{- if not (get $default $key) -}}
{{- $_ := unset $default $key -}}
{{- end -}}
{{- end -}}
{{- $config := dict "excludedNamespaces" (include "javelin.excludedNamespaces" . | fromJsonArray) "default" $default -}}
{{- if .Values.annotations -}}
{{- $_ := set $config "annotations" true -}}
{{- end -}}
{{- with .Values.sidecars -}}
{{- $_ := set $config "sidecars" . -}}
{{- end -}}
{{- with .Values.profiles -}}
{{- $_ := set $config "profiles" . -}}
{{- end -}}
{{ toYaml $config }}
{{- end }}

{{/* The Secret with somebody else's certificate; empty when Javelin makes its own. The schema says the same about what
does not go together; this is for `helm install --skip-schema-validation`. */}}
{{- define "javelin.tlsSecret" -}}
{{- $tls := default dict .Values.tls -}}
{{- $certManager := default dict $tls.certManager -}}
{{- if and $tls.existingSecret $certManager.enabled -}}
{{- fail "tls: existingSecret and certManager.enabled are two sources of one certificate; set one of them" -}}
{{- end -}}
{{- if $certManager.enabled -}}
{{- include "javelin.fullname" . }}-tls
{{- else -}}
{{- default "" $tls.existingSecret -}}
{{- end -}}
{{- end }}

{{/* The caBundle as the API wants it: PEM in base64, on one line. */}}
{{- define "javelin.caBundle" -}}
{{- with (default dict .Values.tls).caBundle -}}
{{- if not (include "javelin.tlsSecret" $) -}}
{{- fail "tls.caBundle: without existingSecret or certManager.enabled Javelin writes it; a second writer would take it away again" -}}
{{- end -}}
{{- $pem := ternary . (regexReplaceAll "\\s" . "" | b64dec) (contains "-----BEGIN" .) -}}
{{- if not (contains "-----BEGIN CERTIFICATE-----" $pem) -}}
{{- fail "tls.caBundle: expected certificates in PEM, as they are or in base64" -}}
{{- end -}}
{{- if contains "PRIVATE KEY" $pem -}}
{{- fail "tls.caBundle: there is a private key in it, and everybody can read a caBundle; give the certificates alone" -}}
{{- end -}}
{{- printf "%s\n" (trim $pem) | b64enc -}}
{{- end -}}
{{- end }}

{{/* An element of a list of texts, quoted where YAML would read it as anything else. */}}
{{- define "javelin.argument" -}}
{{- list . | toYaml -}}
{{- end }}

{{/* A pattern of the names of the last entry of each kind: whoever fails there leaves an object as it was. As PromQL has it between quotes. */}}
{{- define "javelin.lastEntries" -}}
{{- $attempts := (.Values.webhook.secondChance).attempts | int -}}
{{- $again := ternary (printf "-%d" $attempts) "" (gt $attempts 1) -}}
[a-z0-9-]+{{ if gt $attempts 0 }}\\.second-chance{{ $again }}{{ end }}\\.javelin\\.dev
{{- end }}
