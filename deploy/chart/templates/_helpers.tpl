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

{{- define "javelin.image" -}}
{{- $image := .Values.image -}}
{{- $name := printf "%s/%s" (trimSuffix "/" $image.registry) $image.repository -}}
{{- if $image.digest -}}
{{ $name }}@{{ $image.digest }}
{{- else -}}
{{ $name }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end }}

{{- define "javelin.port" -}}
{{- $port := default (ternary 10260 10250 .Values.hostNetwork) .Values.port | int -}}
{{- if and .Values.hostNetwork (eq $port 10250) -}}
{{- fail "port: 10250 on a node belongs to the kubelet; with hostNetwork leave port empty (10260) or choose a free one" -}}
{{- end -}}
{{- if eq $port (include "javelin.adminPort" . | int) -}}
{{- fail (printf "port and adminPort are both %d; give them different numbers" $port) -}}
{{- end -}}
{{ $port }}
{{- end }}

{{- define "javelin.adminPort" -}}
{{- default (ternary 10261 8080 .Values.hostNetwork) .Values.adminPort | int -}}
{{- end }}

{{- define "javelin.excludedNamespaces" -}}
{{- append .Values.excludedNamespaces .Release.Namespace | uniq | toJson -}}
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
