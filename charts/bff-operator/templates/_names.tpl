{{/*
The operator's name, and the start of every other name. Fifty characters leave
room for what is appended. A release named "bff" makes "bff-operator", not
"bff-bff-operator".
*/}}
{{- define "bff-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := printf "%s-%s" .Release.Name $name -}}
{{- if .Values.fullnameOverride -}}
{{- $full = .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- $full = .Release.Name -}}
{{- else if hasPrefix (printf "%s-" .Release.Name) $name -}}
{{- $full = $name -}}
{{- end -}}
{{- $full | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "bff-operator.webhookServiceName" -}}
{{ include "bff-operator.fullname" . }}-webhook
{{- end }}

{{- define "bff-operator.webhookConfigurationName" -}}
{{ include "bff-operator.fullname" . }}
{{- end }}

{{- define "bff-operator.storeName" -}}
{{ include "bff-operator.fullname" . }}-store
{{- end }}

{{/* The Secret with the embedded store's password and users. */}}
{{- define "bff-operator.storeSecretName" -}}
{{ default (include "bff-operator.storeName" .) .Values.store.embedded.existingSecret }}
{{- end }}

{{- define "bff-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "bff-operator.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{/*
Labels that tell pods apart. Called with a dict of root and component. They
never change, so they are all that pod templates carry: a label with a version
would restart the session store on every upgrade.
*/}}
{{- define "bff-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of objects. Called with a dict of root and component. */}}
{{- define "bff-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "bff-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: bff-operator
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* An image's reference. Called with a dict of image and default, a tag. */}}
{{- define "bff-operator.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .default .image.tag }}
{{- end -}}
{{- end }}
