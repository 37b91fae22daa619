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
	var spec v1alpha1.BFFPolicySpec
	spec.Provider.ClientAuthentication.SecretRef = client
	for name, row := range map[string]struct {
		store *v1alpha1.SessionStore
		want  []v1alpha1.SecretKeyReference
	}{
		"no store": {nil, []v1alpha1.SecretKeyReference{client}},
		"memory":   {&v1alpha1.SessionStore{Type: v1alpha1.StoreMemory}, []v1alpha1.SecretKeyReference{client}},
		"no password": {&v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &v1alpha1.RedisStore{}},
			[]v1alpha1.SecretKeyReference{client}},
		"a password": {&v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &v1alpha1.RedisStore{PasswordSecretRef: &password}},
			[]v1alpha1.SecretKeyReference{client, password}},
	} {
		t.Run(name, func(t *testing.T) {
			spec.Session.Store = row.store
			if got := spec.SecretReferences(); !slices.Equal(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}
