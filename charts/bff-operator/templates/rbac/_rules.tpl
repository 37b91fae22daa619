{{/* Made by "go run ./hack/chart" from config/rbac/role.yaml. Do not edit. */}}

{{- define "bff-operator.clusterRoleRules" -}}
- apiGroups:
  - ""
  resources:
  - configmaps
  verbs:
  - create
  - get
  - list
  - patch
  - watch
- apiGroups:
  - ""
  resources:
  - pods
  verbs:
  - list
  - watch
- apiGroups:
  - ""
  resourceNames:
  - bff-operator-keys
  resources:
  - secrets
  verbs:
  - create
  - get
  - patch
- apiGroups:
  - admissionregistration.k8s.io
  resourceNames:
  - '{{ include "bff-operator.webhookConfigurationName" . }}'
  resources:
  - mutatingwebhookconfigurations
  verbs:
  - list
  - patch
  - watch
- apiGroups:
  - bff-operator.io
  resources:
  - bffpolicies
  verbs:
  - list
  - watch
- apiGroups:
  - bff-operator.io
  resources:
  - bffpolicies/status
  verbs:
  - patch
- apiGroups:
  - events.k8s.io
  resources:
  - events
  verbs:
  - create
  - patch
{{- end }}

{{- define "bff-operator.roleRules" -}}
- apiGroups:
  - ""
  resources:
  - events
  verbs:
  - create
  - patch
- apiGroups:
  - ""
  resourceNames:
  - bff-operator-webhook-ca
  resources:
  - secrets
  verbs:
  - create
  - get
  - patch
- apiGroups:
  - coordination.k8s.io
  resources:
  - leases
  verbs:
  - create
- apiGroups:
  - coordination.k8s.io
  resourceNames:
  - bff-operator
  resources:
  - leases
  verbs:
  - get
  - update
{{- end }}
