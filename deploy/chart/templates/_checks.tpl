{{/* Refuses what would make objects that the API server refuses, or pods that do not start, with a sentence that names the
value. Every template begins with it. What JSON Schema can say, values.schema.json says; both the rules for values that belong
together, and the ones for a value that is gone, are here. */}}
{{- define "javelin.check" -}}
{{- include "javelin.check.missing" . -}}
{{- include "javelin.check.names" . -}}
{{- include "javelin.check.ports" . -}}
{{- include "javelin.check.lifetimes" . -}}
{{- include "javelin.check.pods" . -}}
{{- include "javelin.check.log" . -}}
{{- include "javelin.check.profile" (dict "at" "default" "profile" .Values.default "base" dict) -}}
{{- range $name, $profile := default dict .Values.profiles -}}
{{- include "javelin.check.profile" (dict "at" (printf "profiles.%s" $name) "profile" $profile "base" $.Values.default) -}}
{{- end -}}
{{- end }}

{{/* The values whose default is not empty. */}}
{{- define "javelin.check.missing" -}}
{{- $needed := list "image" "image.repository" "image.pullPolicy" "replicas" "bindAddress" "hostNetwork" "webhook"
  "webhook.secondChance" "webhook.secondChance.attempts" "webhook.secondChance.timeoutSeconds" "tls" "tls.authorityLifetime"
  "tls.leafLifetime" "tls.settleTime" "tls.certManager" "excludedNamespaces" "default" "log" "minReadySeconds"
  "drainGraceSeconds" "resources" "podDisruptionBudget" "networkPolicy" -}}
{{- if (.Values.autoscaling).enabled -}}
{{- $needed = concat $needed (list "autoscaling.minReplicas" "autoscaling.maxReplicas") -}}
{{- end -}}
{{- if ((.Values.metrics).service).enabled -}}
{{- $needed = append $needed "metrics.service.port" -}}
{{- end -}}
{{- if (.Values.audit).enabled -}}
{{- $needed = concat $needed (list "audit.interval" "audit.pause") -}}
{{- end -}}
{{- if ((.Values.networkPolicy).egress).enabled -}}
{{- $needed = append $needed "networkPolicy.egress.apiServerPorts" -}}
{{- end -}}
{{- range $key := $needed -}}
{{- $value := $.Values -}}
{{- range $part := splitList "." $key -}}
{{- $value = index $value $part -}}
{{- if kindIs "invalid" $value -}}
{{- fail (printf "%s: not set. The chart has a default for it, which null takes away, and so does --reuse-values with the values of an older chart: leave the value out, or upgrade with --reset-then-reuse-values" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "javelin.check.names" -}}
{{- $name := include "javelin.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "%q cannot be the name of a Service: it has to begin with a letter, and to have lower case letters, digits and - alone; set fullnameOverride" $name) -}}
{{- end -}}
{{- end }}

{{- define "javelin.check.ports" -}}
{{- $ports := dict "port" (include "javelin.port" . | int) "adminPort" (include "javelin.adminPort" . | int) -}}
{{- range $key, $port := $ports -}}
{{- if and $.Values.hostNetwork (eq $port 10250) -}}
{{- fail (printf "%s: 10250 on a node belongs to the kubelet; with hostNetwork leave %s empty or choose a free one" $key $key) -}}
{{- end -}}
{{- if and $.Values.hostNetwork (lt $port 1024) -}}
{{- fail (printf "%s: %d on a node is for root alone, and Javelin does not run as root; with hostNetwork leave %s empty or choose one from 1024 on" $key $port $key) -}}
{{- end -}}
{{- end -}}
{{- if eq $ports.port $ports.adminPort -}}
{{- fail (printf "port and adminPort are both %d; give them different numbers" $ports.port) -}}
{{- end -}}
{{- end }}

{{/* As `Lifetimes::new` has it. */}}
{{- define "javelin.check.lifetimes" -}}
{{- $tls := .Values.tls -}}
{{- $seconds := dict -}}
{{- range $key := list "authorityLifetime" "leafLifetime" "settleTime" -}}
{{- $text := get $tls $key | toString -}}
{{- if not (regexMatch "^[0-9]+(ms|s|m|h|d)$" $text) -}}
{{- fail (printf "tls.%s: %q is not a number with ms, s, m, h or d behind it, such as 2m" $key $text) -}}
{{- end -}}
{{- $_ := set $seconds $key (include "javelin.seconds" $text | int64) -}}
{{- end -}}
{{- if lt $seconds.leafLifetime 5 -}}
{{- fail (printf "tls.leafLifetime: %s is too short; a certificate lives for 5s at least" $tls.leafLifetime) -}}
{{- end -}}
{{- if gt $seconds.authorityLifetime 3155760000 -}}
{{- fail (printf "tls.authorityLifetime: %s is too long; an authority lives for 100 years at most" $tls.authorityLifetime) -}}
{{- end -}}
{{- if or (lt $seconds.authorityLifetime (mul 3 $seconds.leafLifetime)) (lt $seconds.authorityLifetime (mul 6 $seconds.settleTime)) -}}
{{- fail (printf "tls.authorityLifetime: %s is too short for a rotation; it has to be 3 times tls.leafLifetime (%s) and 6 times tls.settleTime (%s) at least" $tls.authorityLifetime $tls.leafLifetime $tls.settleTime) -}}
{{- end -}}
{{- end }}

{{- define "javelin.check.pods" -}}
{{- if and .Values.hostNetwork (eq (toString .Values.hostUsers) "false") -}}
{{- fail "hostUsers: Kubernetes has no user namespaces for pods in the node's network; leave it out with hostNetwork" -}}
{{- end -}}
{{- if and (.Values.workloadEvents).enabled (include "javelin.tlsSecret" .) -}}
{{- fail "workloadEvents: with a certificate of your own Javelin asks nothing of the API server, and so writes no Events; leave it out" -}}
{{- end -}}
{{- include "javelin.check.audit" . -}}
{{- include "javelin.check.ownTelemetry" . -}}
{{- range .Values.extraArgs -}}
{{- $flag := regexFind "^--[a-z-]+" . -}}
{{- if has $flag (list "--listen" "--admin-listen" "--config" "--service" "--namespace" "--secret" "--webhook-configuration" "--probe-configmap" "--authority-lifetime" "--leaf-lifetime" "--settle-time" "--pod-name" "--pod-uid" "--workload-events" "--audit" "--audit-guard" "--audit-interval" "--audit-pause" "--tls-cert" "--tls-key" "--drain-grace" "--log-format" "--log" "--otlp-endpoint" "--otlp-signals" "--otlp-ca") -}}
{{- fail (printf "extraArgs: %s is the chart's own, and a flag can be given once; use the value for it" $flag) -}}
{{- end -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if and .enabled (lt (int .maxReplicas) (int .minReplicas)) -}}
{{- fail (printf "autoscaling: maxReplicas is %d and minReplicas is %d; the first has to be as large at least" (int .maxReplicas) (int .minReplicas)) -}}
{{- end -}}
{{- if and .enabled (not .targetCPUUtilizationPercentage) (not .targetMemoryUtilizationPercentage) -}}
{{- fail "autoscaling: set targetCPUUtilizationPercentage or targetMemoryUtilizationPercentage, or there is nothing to scale by" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "javelin.check.ownTelemetry" -}}
{{- with .Values.ownTelemetry -}}
{{- $endpoint := .endpoint | default "" | toString -}}
{{- if and $endpoint (not (regexMatch "^https?://[^/?#@]+/?$" $endpoint)) -}}
{{- fail (printf "ownTelemetry.endpoint: %q is not the address of a Collector: write http:// or https://, a host and a port, without a path, as in http://otel-collector.observability.svc:4318" $endpoint) -}}
{{- end -}}
{{- if and (hasPrefix "https://" $endpoint) (not .caConfigMap) -}}
{{- fail "ownTelemetry.endpoint is https, and nothing says whose certificates are trusted: name a ConfigMap with a key ca.crt in ownTelemetry.caConfigMap" -}}
{{- end -}}
{{- if and $endpoint (not .signals) -}}
{{- fail "ownTelemetry.signals: empty, so that nothing would be sent; name traces, logs or both, or leave the endpoint out" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "javelin.check.audit" -}}
{{- if and (.Values.audit).guard (not (.Values.audit).enabled) -}}
{{- fail "audit.guard: it acts on what the audit finds, and there is none; set audit.enabled, too" -}}
{{- end -}}
{{- if (.Values.audit).enabled -}}
{{- if include "javelin.tlsSecret" . -}}
{{- fail "audit: with a certificate of your own Javelin asks nothing of the API server, and so finds nothing; leave it out, and run `javelin status -A --check` at intervals" -}}
{{- end -}}
{{- range $key, $bounds := dict "interval" (list 10 86400 "10s to 1d") "pause" (list 0 60 "0s to 1m") -}}
{{- $text := get $.Values.audit $key | toString -}}
{{- $seconds := 0 -}}
{{- if regexMatch "^[0-9]+(ms|s|m|h|d)$" $text -}}
{{- $seconds = include "javelin.seconds" $text | int64 -}}
{{- else -}}
{{- fail (printf "audit.%s: %q is not a number with ms, s, m, h or d behind it, such as 2m" $key $text) -}}
{{- end -}}
{{- if or (lt $seconds (first $bounds | int64)) (gt $seconds (index $bounds 1 | int64)) -}}
{{- fail (printf "audit.%s: %s is out of bounds; it has to be %s" $key $text (last $bounds)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What `javelin config check` refuses of keys that belong together, a profile being laid over the default one. */}}
{{- define "javelin.check.profile" -}}
{{- $at := .at -}}
{{- $profile := default dict .profile -}}
{{- $own := default dict $profile.otlp -}}
{{- $otlp := ternary $own (merge (deepCopy $own) (default dict (default dict .base).otlp)) (hasKey $own "endpoint") -}}
{{- if not $otlp.endpoint -}}
{{- range $key := list "protocol" "headersFrom" "tls" -}}
{{- if get $otlp $key -}}
{{- fail (printf "%s.otlp.endpoint: missing; otlp.%s alone has no effect" $at $key) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $protocol := default "http/protobuf" $otlp.protocol -}}
{{- $other := ternary "grpc" "http/protobuf" (eq $protocol "http/protobuf") -}}
{{- $port := ternary "4317" "4318" (eq $protocol "http/protobuf") -}}
{{- if regexMatch (printf "^https?://[^/]*:%s(/|$)" $port) $otlp.endpoint -}}
{{- fail (printf "%s.otlp: %s on port %s, which is that of %s; write protocol: %s, or the other port" $at $protocol $port $other $other) -}}
{{- end -}}
{{- if and $otlp.tls (hasPrefix "http://" $otlp.endpoint) -}}
{{- fail (printf "%s.otlp.tls: has no effect on an http:// endpoint; write https://, or leave tls out" $at) -}}
{{- end -}}
{{- end -}}
{{- $sampler := default dict $profile.sampler -}}
{{- if and (hasKey $sampler "argument") (not $sampler.type) -}}
{{- fail (printf "%s.sampler.type: missing; an argument alone has no effect" $at) -}}
{{- end -}}
{{- $agent := default dict $profile.agent -}}
{{- $delivery := default "init-container" $profile.delivery -}}
{{- if and (eq $delivery "preinstalled") (not $agent.path) -}}
{{- fail (printf "%s.agent.path: missing; write the jar's path in the application's image, such as /opt/agent.jar" $at) -}}
{{- end -}}
{{- if hasKey $profile "delivery" -}}
{{- if and (has $delivery (list "init-container" "none")) $agent.path -}}
{{- fail (printf "%s.agent.path: is for the deliveries image-volume and preinstalled; leave it out with %s" $at $delivery) -}}
{{- end -}}
{{- if and (ne $delivery "init-container") $agent.command -}}
{{- fail (printf "%s.agent.command: is for the delivery init-container; with %s nothing runs, leave it out" $at $delivery) -}}
{{- end -}}
{{- if and (eq $delivery "none") $agent.extensions -}}
{{- fail (printf "%s.agent.extensions: is of no use with the delivery none: no agent is loaded; leave it out" $at) -}}
{{- end -}}
{{- end -}}
{{- $env := default dict $profile.env -}}
{{- range $pair := list (list "OTEL_EXPORTER_OTLP_ENDPOINT" $otlp.endpoint) (list "OTEL_EXPORTER_OTLP_PROTOCOL" $otlp.endpoint) (list "OTEL_EXPORTER_OTLP_HEADERS" $otlp.headersFrom) (list "OTEL_PROPAGATORS" $profile.propagators) (list "OTEL_TRACES_EXPORTER" ($profile.exporters).traces) (list "OTEL_METRICS_EXPORTER" ($profile.exporters).metrics) (list "OTEL_LOGS_EXPORTER" ($profile.exporters).logs) (list "OTEL_JAVAAGENT_EXTENSIONS" $agent.extensions) -}}
{{- if and (hasKey $env (first $pair)) (last $pair) -}}
{{- fail (printf "%s.env.%s: a key of the profile says it as well; leave one of them out" $at (first $pair)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A word that is no level ends the program; what stands in brackets is a filter that it reads by itself. */}}
{{- define "javelin.check.log" -}}
{{- range $part := include "javelin.logLevel" . | splitList "," -}}
{{- $part = trim $part -}}
{{- $word := $part | splitList "=" | last -}}
{{- if not (or (eq $part "") (regexMatch "[][{}]" $part) (regexMatch "^(?i:off|error|warn|info|debug|trace|[0-5])$" $word)) -}}
{{- fail (printf "log.level: %q is no level: expected off, error, warn, info, debug or trace" $word) -}}
{{- end -}}
{{- end -}}
{{- end }}
