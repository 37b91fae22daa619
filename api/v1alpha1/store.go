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
	var references []SecretKeyReference
	client := s.Provider.ClientAuthentication
	if client.SecretRef != nil {
		references = append(references, *client.SecretRef)
	}
	if client.PrivateKey != nil {
		references = append(references, client.PrivateKey.SecretRef)
	}
	if client.CertificateRef != nil {
		references = append(references, client.CertificateRef.Certificate(), client.CertificateRef.PrivateKey())
	}
	if s.Session.Store == nil || s.Session.Store.Redis == nil {
		return references
	}
	redis := s.Session.Store.Redis
	if redis.PasswordSecretRef != nil {
		references = append(references, *redis.PasswordSecretRef)
	}
	if redis.Sentinel != nil && redis.Sentinel.PasswordSecretRef != nil {
		references = append(references, *redis.Sentinel.PasswordSecretRef)
	}
	if redis.ClientCertificateRef != nil {
		references = append(references, redis.ClientCertificateRef.Certificate(), redis.ClientCertificateRef.PrivateKey())
	}
	return references
}
