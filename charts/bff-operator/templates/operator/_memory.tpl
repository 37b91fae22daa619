{{/*
Nine tenths of the memory limit, for the garbage collector to work harder well
before the kernel kills. Empty for a limit in another unit than Mi and Gi.
*/}}
{{- define "bff-operator.memoryLimitOfGo" -}}
{{- $limit := dig "limits" "memory" "" (default dict .Values.resources) | toString -}}
{{- if regexMatch "^[0-9]+Mi$" $limit -}}
{{ div (mul (trimSuffix "Mi" $limit | int) 9) 10 }}MiB
{{- else if regexMatch "^[0-9]+Gi$" $limit -}}
{{ div (mul (trimSuffix "Gi" $limit | int) 1024 9) 10 }}MiB
{{- end -}}
{{- end }}
