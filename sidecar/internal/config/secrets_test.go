package config_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
)

func configProblems(p *v1alpha1.BFFPolicy) (problems []string) {
	for _, err := range config.Validate(config.Defaulted(p)) {
		problems = append(problems, err.Error())
	}
	return problems
}

// withClient is the minimal policy with another client authentication, and with
// a Redis store.
func withClient(authentication, redis string) string {
	i := strings.Index(minimal, "      method:")
	return minimal[:i] + authentication + "  session: {store: {type: Redis, redis: {address: 'valkey:6379'" + redis + "}}}\n"
}

func TestEveryKindOfSecretIsRead(t *testing.T) {
	chain, key := certificate(t)
	for name, c := range map[string]struct {
		client, redis string
		files         map[string]string
		check         func(*config.Snapshot) bool
	}{
		"a private key": {"      method: private_key_jwt\n      privateKey: {secretRef: {name: oidc, key: key.pem}, keyID: k1}\n", "",
			map[string]string{"oidc/key.pem": key},
			func(s *config.Snapshot) bool { return s.Credentials.PrivateKey != nil && s.Credentials.Secret.IsZero() }},
		"a certificate": {"      method: tls_client_auth\n      certificateRef: {name: mtls}\n", "",
			map[string]string{"mtls/tls.crt": chain, "mtls/tls.key": key},
			func(s *config.Snapshot) bool { return s.Credentials.Certificate != nil }},
		"a workload's token": {"      method: workload_identity\n      workloadIdentity: {audience: a}\n", "",
			map[string]string{"_service-account/token": "ey.J.x"},
			func(s *config.Snapshot) bool { return s.Credentials.ServiceAccountToken.Reveal() == "ey.J.x" }},
		"a store's": {"      method: client_secret_jwt\n      secretRef: {name: oidc, key: secret}\n",
			", topology: Sentinel, sentinel: {masterName: m, passwordSecretRef: {name: valkey, key: sentinel}}, tls: Enabled" +
				", passwordSecretRef: {name: valkey, key: password}, clientCertificateRef: {name: valkey-tls}",
			map[string]string{"oidc/secret": "s3cret", "valkey/sentinel": "one\n", "valkey/password": "two", "valkey-tls/tls.crt": chain, "valkey-tls/tls.key": key},
			func(s *config.Snapshot) bool {
				return s.SentinelPassword.Reveal() == "one" && s.StorePassword.Reveal() == "two" && s.StoreCertificate != nil
			}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.policy.swap(map[string]string{"policy.yaml": withClient(c.client, c.redis)})
			c.files["bff-operator-keys/keyring.json"] = f.ring
			f.secrets.swap(c.files)
			s, files, err := f.at.Load()
			must(t, err)
			if !c.check(s) {
				t.Errorf("not what the files hold")
			}
			if len(files) != 1+len(c.files) {
				t.Errorf("%d files are watched, of %d", len(files), 1+len(c.files))
			}

			for missing := range c.files {
				some := map[string]string{}
				for name, content := range c.files {
					if name != missing {
						some[name] = content
					}
				}
				some[missing] = "\n"
				f.secrets.swap(some)
				_, watched, err := f.at.Load()
				if err == nil {
					t.Errorf("an empty %s is accepted", missing)
				}
				if len(watched) != len(files) {
					t.Errorf("after a failure %d files are watched, of %d: its cure would go unnoticed", len(watched), len(files))
				}
			}
		})
	}
}

// A certificate is renewed in one swap of the volume, and used without a
// restart (MTLS-05).
func TestCertificateIsRenewed(t *testing.T) {
	f := newFixture(t)
	f.policy.swap(map[string]string{"policy.yaml": withClient("      method: tls_client_auth\n      certificateRef: {name: mtls}\n", "")})
	put := func() {
		chain, key := certificate(t)
		f.secrets.swap(map[string]string{"mtls/tls.crt": chain, "mtls/tls.key": key, "bff-operator-keys/keyring.json": f.ring})
	}
	put()
	source, err := config.Open(f.at.Load, time.Millisecond, time.Now)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		source.Run(ctx, func(*config.Snapshot) error { return nil }, func(config.Report) {})
	}()
	t.Cleanup(func() { cancel(); <-done })
	first := source.Current().Credentials.Certificate
	put()
	eventually(t, "the renewed certificate is used", func() bool {
		return !source.Current().Credentials.Certificate.Leaf.Equal(first.Leaf)
	})
}
