{{/*
The embedded store's ACL user: what sidecars and operator log in as.
*/}}
{{- define "bff-operator.storeUser" -}}
bff
{{- end }}

{{/*
The embedded store's users: a file of the server, with the password's SHA-256
for an argument. Nobody but our user gets in, and it does no more than keep
sessions: keys and channels that start with "bff:", and no command that looks at
or changes the server, other clients or all keys at once.
*/}}
{{- define "bff-operator.storeUsers" -}}
user default reset off
user {{ include "bff-operator.storeUser" . }} reset on #{{ . }} ~bff:* &bff:* +@read +@write +@transaction +@pubsub +@connection -@dangerous -@admin -@scripting -scan -randomkey -dbsize -select +eval +evalsha +eval_ro +evalsha_ro +script|load +time
{{- end }}

{{- define "bff-operator.storeConfiguration" -}}
# Who may log in is in the Secret. Every connection must: that is what makes
# protected mode, which would refuse other machines, unnecessary.
aclfile /etc/store/users/users.acl
bind * -::*
port 6379
protected-mode no
tcp-keepalive 60

# A full store refuses new sessions. It never drops one.
maxmemory {{ .Values.store.embedded.maxMemory }}
maxmemory-policy noeviction

# A server that crashes finds its sessions again.
dir /data
appendonly yes
appendfsync everysec
auto-aof-rewrite-min-size 16mb
save ""
{{- end }}

{{/* host:port of the session store. */}}
{{- define "bff-operator.storeAddress" -}}
{{- if .Values.store.embedded.enabled -}}
{{ include "bff-operator.storeName" . }}.{{ .Release.Namespace }}.svc:6379
{{- else -}}
{{ .Values.store.external.address }}
{{- end -}}
{{- end }}

{{/* The Secret with the store's password, as a volume's items. Empty: none. */}}
{{- define "bff-operator.storePasswordVolume" -}}
{{- if .Values.store.embedded.enabled -}}
secretName: {{ include "bff-operator.storeSecretName" . }}
items:
- key: password
  path: password
{{- else if .Values.store.external.passwordSecret.name -}}
secretName: {{ .Values.store.external.passwordSecret.name }}
items:
- key: {{ .Values.store.external.passwordSecret.key | quote }}
  path: password
{{- end -}}
{{- end }}
