//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/hack/stage"
)

// A pod that asks for the sidecar and cannot have it is refused, never let in
// without it.
func TestLabelledPodWithoutPolicyIsDenied(t *testing.T) {
	const manifest = `
apiVersion: v1
kind: Pod
metadata:
  name: stray
  namespace: %s
  labels: {app: stray, bff-operator.io/inject: "true"}
spec:
  containers:
  - {name: app, image: localhost/bff-demo:dev, ports: [{name: http, containerPort: 8081}]}
`
	_, err := shop.KubectlStdin(t.Context(), fmt.Sprintf(manifest, "default"), "create", "-f", "-")
	if err == nil {
		_, _ = shop.Kubectl(t.Context(), "delete", "pod", "stray", "-n", "default", "--now")
		t.Fatal("a labelled pod in a namespace without a policy was created")
	}
	t.Logf("the user reads: %v", err)
	for _, hint := range []string{"denied", "BFFPolicy", "default"} {
		if !strings.Contains(err.Error(), hint) {
			t.Errorf("the denial does not mention %q", hint)
		}
	}
}

func TestUnlabelledPodIsNoneOfOurBusiness(t *testing.T) {
	const manifest = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"plain","namespace":"default"},"spec":{"containers":[{"name":"app","image":"localhost/bff-demo:dev"}]}}`
	if _, err := shop.KubectlStdin(t.Context(), manifest, "create", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = shop.Kubectl(context.Background(), "delete", "pod", "plain", "-n", "default", "--now") })
	containers, err := shop.Kubectl(t.Context(), "get", "pod", "plain", "-n", "default", "-o", "jsonpath={.spec.initContainers}")
	if err != nil {
		t.Fatal(err)
	}
	if containers != "" {
		t.Errorf("an unlabelled pod got init containers %s", containers)
	}
}

func TestDeletedPodComesBackInjected(t *testing.T) {
	before := webPod(t)
	if _, err := shop.Kubectl(t.Context(), "delete", "pod", before, "-n", stage.ShopNamespace, "--wait"); err != nil {
		t.Fatal(err)
	}
	if _, err := shop.Kubectl(t.Context(), "rollout", "status", "deployment/web", "-n", stage.ShopNamespace, "--timeout=90s"); err != nil {
		t.Fatal(err)
	}
	after := webPod(t)
	if after == before {
		t.Fatal("the pod was not replaced")
	}
	first, err := shop.Kubectl(t.Context(), "get", "pod", after, "-n", stage.ShopNamespace,
		"-o", "jsonpath={.spec.initContainers[0].name} {.spec.initContainers[0].restartPolicy} {.status.initContainerStatuses[0].ready}")
	if err != nil {
		t.Fatal(err)
	}
	if want := pod.ContainerName + " Always true"; first != want {
		t.Errorf("the new pod's first init container is %q, want %q", first, want)
	}
}

func TestKubectlGetTellsTheStory(t *testing.T) {
	table, err := shop.Kubectl(t.Context(), "get", "bffpolicies", "-n", stage.ShopNamespace)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kubectl get bffpolicies:\n%s", table)
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if len(lines) != 2 {
		t.Fatalf("want a header and one policy")
	}
	if header := strings.Fields(lines[0]); strings.Join(header, " ") != "NAME READY PODS ISSUER AGE" {
		t.Errorf("columns are %v, want NAME READY PODS ISSUER AGE", header)
	}
	if row := regexp.MustCompile(`^shop +True +1/1 +http://id\.localhost:8090 +\S+`); !row.MatchString(lines[1]) {
		t.Errorf("the row is %q, want it to match %s", lines[1], row)
	}
}

// The sidecar runs where Pod Security enforces "restricted", and is small.
func TestSidecarIsRestrictedAndSmall(t *testing.T) {
	level, err := shop.Kubectl(t.Context(), "get", "namespace", stage.ShopNamespace,
		"-o", `jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}`)
	if err != nil {
		t.Fatal(err)
	}
	if level != "restricted" {
		t.Fatalf("namespace %s enforces %q, so this test proves nothing: want restricted", stage.ShopNamespace, level)
	}

	const admin = 18881
	forward := stage.Forward{Namespace: stage.ShopNamespace, Target: "pod/" + webPod(t), Local: admin, Remote: pod.AdminPort}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go forward.Run(ctx)
	if err := stage.WaitForAnswers(ctx, []stage.Forward{forward}); err != nil {
		t.Fatal(err)
	}
	metrics := fetch(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", admin))
	found := regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`).FindStringSubmatch(metrics)
	if found == nil {
		t.Fatal("the sidecar's metrics do not tell its resident memory")
	}
	rss, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resident memory of the sidecar: %.1f MiB", rss/(1<<20))
	if rss > 32<<20 {
		t.Errorf("the sidecar uses %.1f MiB, more than the 32 MiB it asks for", rss/(1<<20))
	}
}

// The sidecar talks to no API server, so it gets no token for one, even where
// the application has one.
func TestSidecarGetsNoServiceAccountToken(t *testing.T) {
	const manifest = `{"apiVersion":"v1","kind":"Pod",
		"metadata":{"name":"with-token","namespace":"shop","labels":{"app":"shop","bff-operator.io/inject":"true"}},
		"spec":{"securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},
			"containers":[{"name":"app","image":"localhost/bff-demo:dev","ports":[{"name":"http","containerPort":8081}],
				"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}`
	mounts := func(container string) string {
		t.Helper()
		// A dry run passes through all of the API server's admission.
		paths, err := shop.KubectlStdin(t.Context(), manifest, "create", "--dry-run=server", "-f", "-",
			"-o", "jsonpath={.spec."+container+"[0].volumeMounts[*].mountPath}")
		if err != nil {
			t.Fatal(err)
		}
		return paths
	}
	if app := mounts("containers"); !strings.Contains(app, "serviceaccount") {
		t.Fatalf("the application has no token either (%q), so this test proves nothing", app)
	}
	if sidecar, want := mounts("initContainers"), pod.PolicyDir+" "+pod.SecretsDir; sidecar != want {
		t.Errorf("the sidecar mounts %q, want %q", sidecar, want)
	}
}

func webPod(t *testing.T) string {
	t.Helper()
	name, err := shop.Kubectl(t.Context(), "get", "pods", "-n", stage.ShopNamespace, "-l", "app=shop",
		"--field-selector=status.phase=Running", "-o", "jsonpath={.items[0].metadata.name}")
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
