package v1alpha1_test

import (
	"slices"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

func TestOwnSessionStoreWinsOverTheOperators(t *testing.T) {
	operators := &v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &v1alpha1.RedisStore{Address: "valkey:6379"}}

	policy := &v1alpha1.BFFPolicy{}
	resolved := policy.WithStore(operators)
	if got := resolved.Spec.Session.Store; got == nil || got.Redis.Address != "valkey:6379" {
		t.Errorf("the store is %+v", got)
	}
	if policy.Spec.Session.Store != nil {
		t.Error("the policy itself was changed")
	}
	resolved.Spec.Session.Store.Redis.Address = "other"
	if operators.Redis.Address != "valkey:6379" {
		t.Error("policies share the operator's store")
	}

	own := &v1alpha1.BFFPolicy{}
	own.Spec.Session.Store = &v1alpha1.SessionStore{Type: v1alpha1.StoreMemory}
	if got := own.WithStore(operators).Spec.Session.Store.Type; got != v1alpha1.StoreMemory {
		t.Errorf("the store is %s", got)
	}
	if got := policy.WithStore(nil).Spec.Session.Store; got != nil {
		t.Errorf("a store came from nowhere: %+v", got)
	}
}

func TestSecretReferencesAreAllThatTheSpecNames(t *testing.T) {
	client := v1alpha1.SecretKeyReference{Name: "oidc", Key: "client-secret"}
	password := v1alpha1.SecretKeyReference{Name: "valkey", Key: "password"}
	sentinel := v1alpha1.SecretKeyReference{Name: "sentinel", Key: "password"}
	redis := func(r v1alpha1.RedisStore) *v1alpha1.SessionStore {
		return &v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &r}
	}
	secret := v1alpha1.ClientAuthentication{SecretRef: &client}
	for name, row := range map[string]struct {
		client v1alpha1.ClientAuthentication
		store  *v1alpha1.SessionStore
		want   []v1alpha1.SecretKeyReference
	}{
		"no store":          {secret, nil, []v1alpha1.SecretKeyReference{client}},
		"memory":            {secret, &v1alpha1.SessionStore{Type: v1alpha1.StoreMemory}, []v1alpha1.SecretKeyReference{client}},
		"no password":       {secret, redis(v1alpha1.RedisStore{}), []v1alpha1.SecretKeyReference{client}},
		"a password":        {secret, redis(v1alpha1.RedisStore{PasswordSecretRef: &password}), []v1alpha1.SecretKeyReference{client, password}},
		"a workload's name": {v1alpha1.ClientAuthentication{WorkloadIdentity: &v1alpha1.WorkloadIdentityToken{Audience: "a"}}, nil, nil},
		"a private key":     {v1alpha1.ClientAuthentication{PrivateKey: &v1alpha1.PrivateKey{SecretRef: client}}, nil, []v1alpha1.SecretKeyReference{client}},
		"a certificate": {v1alpha1.ClientAuthentication{CertificateRef: &v1alpha1.CertificateReference{Name: "mtls"}}, nil,
			[]v1alpha1.SecretKeyReference{{Name: "mtls", Key: "tls.crt"}, {Name: "mtls", Key: "tls.key"}}},
		"sentinels, and a certificate for the store": {secret, redis(v1alpha1.RedisStore{
			Sentinel:             &v1alpha1.RedisSentinelOptions{MasterName: "m", PasswordSecretRef: &sentinel},
			ClientCertificateRef: &v1alpha1.CertificateReference{Name: "redis"},
		}), []v1alpha1.SecretKeyReference{client, sentinel, {Name: "redis", Key: "tls.crt"}, {Name: "redis", Key: "tls.key"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var spec v1alpha1.BFFPolicySpec
			spec.Provider.ClientAuthentication, spec.Session.Store = row.client, row.store
			if got := spec.SecretReferences(); !slices.Equal(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}
