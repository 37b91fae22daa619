package main

import (
	"strings"
	"testing"
)

// Values that cannot work are refused with a sentence that says what to write.
func TestValuesThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		say    string
		values []string
		want   []string
	}{
		{"a Kubernetes that is too old", []string{"--kube-version", "1.32.9"}, []string{">=1.33.0-0"}},
		{"two stores", set("store.external.address=a:6379"), []string{"store.embedded.enabled=false"}},
		{"no store", set("store.embedded.enabled=false"), []string{"store.external.address", "store.embedded.enabled=true"}},
		{"a user without password", set("store.embedded.enabled=false", "store.external.address=a:6379", "store.external.username=u"),
			[]string{"store.external.passwordSecret.name"}},
		{"a store without port", set("store.embedded.enabled=false", "store.external.address=valkey"), []string{`"valkey" is not host:port`, "valkey.cache.svc:6379"}},
		{"a claim that is not used", set("store.embedded.persistence.existingClaim=c"), []string{"store.embedded.persistence.enabled=true"}},
		{"the kubelet's port", set("webhook.hostNetwork=true"), []string{"kubelet", "webhook.port=10260"}},
		{"the probes' port", set("webhook.port=8081"), []string{"8081"}},
		{"the metrics' port", set("webhook.port=8080"), []string{"8080"}},
		{"metrics on the probes' port", set("metrics.port=8081"), []string{"8081"}},
		{"a monitor of nothing", set("metrics.service.enabled=false", "metrics.serviceMonitor.enabled=true"), []string{"metrics.service.enabled=true"}},

		{"a misspelt value", set("replicas=3"), []string{"additional properties 'replicas' not allowed"}},
		{"a misspelt value deep down", set("store.embedded.persistance.enabled=true"), []string{"/store/embedded", "'persistance' not allowed"}},
		{"no replica", set("replicaCount=0"), []string{"/replicaCount"}},
		{"a pull policy that does not exist", set("image.pullPolicy=Sometimes"), []string{"/image/pullPolicy", "Always"}},
		{"a tag that is a digest", set("image.tag=sha256:abc"), []string{"/image/tag"}},
		{"a name that is none", set("fullnameOverride=Not_A_Name"), []string{"/fullnameOverride"}},
		{"memory in another unit", set("store.embedded.maxMemory=128Mi"), []string{"/store/embedded/maxMemory"}},
		{"a log level that does not exist", set("log.level=loud"), []string{"/log/level", "debug"}},
	} {
		t.Run(test.say, func(t *testing.T) {
			message := refused(t, test.values...)
			for _, want := range test.want {
				if !strings.Contains(message, want) {
					t.Errorf("%q does not mention %q", message, want)
				}
			}
		})
	}
}
