package config

import (
	"fmt"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

func (p *problems) session(s *v1alpha1.Session) {
	const field = "spec.session."
	p.duration(field+"idleTimeout", s.IdleTimeout.Duration)
	p.duration(field+"lifetime", s.Lifetime.Duration)
	p.check(s.IdleTimeout.Duration <= s.Lifetime.Duration, field+"idleTimeout", "must not be longer than lifetime")
	p.between(field+"outageGrace", s.OutageGrace.Duration, 0, maxGrace, "from 0s to 24h, for example 10m")
	p.check(s.MaxPerUser >= 0 && s.MaxPerUser <= 1000, field+"maxPerUser", "must be from 0, which is no limit, to 1000")
	p.check(len(s.Claims) <= 64, field+"claims", "must be at most 64")
	unique(p, field+"claims", s.Claims)
	for i, claim := range s.Claims {
		p.check(claim != "" && len(claim) <= 256, fmt.Sprintf("%sclaims[%d]", field, i), "must have 1 to 256 characters")
	}
	oneOf(p, field+"binding.mode", s.Binding.Mode,
		v1alpha1.BindingDisabled, v1alpha1.BindingAudit, v1alpha1.BindingReauthenticate, v1alpha1.BindingTerminate)
	p.check(s.Binding.IPv4PrefixLength >= 8 && s.Binding.IPv4PrefixLength <= 32, field+"binding.ipv4PrefixLength", "must be from 8 to 32")
	p.check(s.Binding.IPv6PrefixLength >= 16 && s.Binding.IPv6PrefixLength <= 128, field+"binding.ipv6PrefixLength", "must be from 16 to 128")

	if s.Store == nil {
		p.check(false, field+"store", "name one: the operator fills in its own where a policy has none; in a file write store: {type: Memory}")
		return
	}
	switch {
	case s.Store.Type != v1alpha1.StoreMemory && s.Store.Type != v1alpha1.StoreRedis:
		p.check(false, field+"store.type", "write Redis or Memory")
	case (s.Store.Type == v1alpha1.StoreRedis) != (s.Store.Redis != nil):
		p.check(false, field+"store.redis", "must be set when type is Redis, and only then")
	case s.Store.Redis != nil:
		p.redis(field+"store.redis.", s.Store.Redis)
	}
}

func (p *problems) duration(field string, d time.Duration) {
	p.between(field, d, minDuration, maxDuration, "from 1m to 720h, for example 30m")
}

func (p *problems) redis(field string, r *v1alpha1.RedisStore) {
	oneOf(p, field+"topology", r.Topology, v1alpha1.RedisStandalone, v1alpha1.RedisSentinel, v1alpha1.RedisCluster)
	p.storeAddress(field+"address", r.Address)
	p.check(len(r.AdditionalAddresses) == 0 || r.Topology != v1alpha1.RedisStandalone, field+"additionalAddresses",
		"are for the topologies Sentinel and Cluster")
	p.check(len(r.AdditionalAddresses) <= 16, field+"additionalAddresses", "must be at most 16")
	unique(p, field+"additionalAddresses", r.AdditionalAddresses)
	for i, a := range r.AdditionalAddresses {
		p.storeAddress(fmt.Sprintf("%sadditionalAddresses[%d]", field, i), a)
	}
	p.check((r.Topology == v1alpha1.RedisSentinel) == (r.Sentinel != nil), field+"sentinel", "must be set when topology is Sentinel, and only then")
	p.check(len(r.Username) <= maxName, field+"username", "must have at most %d characters", maxName)
	if r.PasswordSecretRef != nil {
		p.secretRef(field+"passwordSecretRef", *r.PasswordSecretRef)
	}
	if s := r.Sentinel; s != nil {
		p.check(s.MasterName != "" && len(s.MasterName) <= maxName, field+"sentinel.masterName", "must have 1 to %d characters", maxName)
		p.check(len(s.Username) <= maxName, field+"sentinel.username", "must have at most %d characters", maxName)
		if s.PasswordSecretRef != nil {
			p.secretRef(field+"sentinel.passwordSecretRef", *s.PasswordSecretRef)
		}
	}
	oneOf(p, field+"tls", r.TLS, v1alpha1.StoreTLSEnabled, v1alpha1.StoreTLSDisabled)
	p.check(r.TLS == v1alpha1.StoreTLSEnabled || r.CABundle == "" && r.ClientCertificateRef == nil, field+"tls",
		"write Enabled: caBundle and clientCertificateRef need it")
	p.bundle(field+"caBundle", r.CABundle)
	if r.ClientCertificateRef != nil {
		p.secretRef(field+"clientCertificateRef", r.ClientCertificateRef.Certificate())
	}
}

func (p *problems) storeAddress(field, address string) {
	p.check(len(address) <= maxAddress && storeAddress.MatchString(address), field, "must be host:port, for example valkey.cache.svc:6379")
}
