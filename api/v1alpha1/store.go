package v1alpha1

// WithStore is the policy as the sidecar reads it: where it names no session
// store of its own it gets the operator's. p is not changed. A nil store
// leaves the policy as it is.
func (p *BFFPolicy) WithStore(store *SessionStore) *BFFPolicy {
	resolved := p.DeepCopy()
	if resolved.Spec.Session.Store == nil {
		resolved.Spec.Session.Store = store.DeepCopy()
	}
	return resolved
}

// SecretReferences are the Secret entries the spec names, in the order they
// stand there. The operator mounts them into the pod; it never reads them.
func (s *BFFPolicySpec) SecretReferences() []SecretKeyReference {
	references := []SecretKeyReference{s.Provider.ClientAuthentication.SecretRef}
	if store := s.Session.Store; store != nil && store.Redis != nil && store.Redis.PasswordSecretRef != nil {
		references = append(references, *store.Redis.PasswordSecretRef)
	}
	return references
}
