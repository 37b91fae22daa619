{{/*
What a schema cannot say, because it is about several values at once.
*/}}
{{- define "bff-operator.validate" -}}
{{- $store := .Values.store -}}
{{- if and $store.embedded.enabled $store.external.address -}}
{{- fail (printf "two session stores: set store.embedded.enabled=false to use %s, or leave store.external.address empty to use the embedded one" $store.external.address) -}}
{{- end -}}
{{- if not (or $store.embedded.enabled $store.external.address) -}}
{{- fail "no session store: set store.external.address to host:port of your Valkey or Redis, or store.embedded.enabled=true" -}}
{{- end -}}
{{- if and $store.external.address (not (regexMatch `^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$` $store.external.address)) -}}
{{- fail (printf "store.external.address %q is not host:port: write for example valkey.cache.svc:6379" $store.external.address) -}}
{{- end -}}
{{- if and $store.external.username (not $store.external.passwordSecret.name) -}}
{{- fail "store.external.username has no password: set store.external.passwordSecret.name to a Secret of the release's namespace" -}}
{{- end -}}
{{- if and $store.embedded.enabled $store.embedded.persistence.existingClaim (not $store.embedded.persistence.enabled) -}}
{{- fail "store.embedded.persistence.existingClaim is not used: set store.embedded.persistence.enabled=true too" -}}
{{- end -}}
{{- if and .Values.webhook.hostNetwork (eq (int .Values.webhook.port) 10250) -}}
{{- fail "webhook.port 10250 is the kubelet's on the node's network: with webhook.hostNetwork=true set another, for example webhook.port=10260" -}}
{{- end -}}
{{- if has (int .Values.webhook.port) (list 8081 (int .Values.metrics.port)) -}}
{{- fail (printf "webhook.port %d is taken by probes (8081) or metrics (%d): set another" (int .Values.webhook.port) (int .Values.metrics.port)) -}}
{{- end -}}
{{- if eq (int .Values.metrics.port) 8081 -}}
{{- fail "metrics.port 8081 is taken by the probes: set another" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled=true needs metrics.service.enabled=true" -}}
{{- end -}}
{{- end }}
