package inject_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/webhook/internal/denial"
	"github.com/bff-operator/bff-operator/webhook/internal/inject"
)

// update rewrites what the cases in testdata expect:
//
//	go test ./webhook/internal/inject -run TestGolden -update
var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// installation is what the cases are injected with.
var installation = inject.Sidecar{
	Image:            "registry.example.com/bff-sidecar:v1",
	ImagePullPolicy:  corev1.PullIfNotPresent,
	ImagePullSecrets: []string{"registry"},
	Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")},
	},
}

// TestGolden runs every file of testdata. A file has three YAML documents: a
// policy, a pod, and what comes of them, which is a pod or a denial.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			c := read(t, file)
			plan := inject.Plan{Policy: c.policy, Sidecar: installation, Version: "v1.2.3"}
			before := c.pod.DeepCopy()

			injected, err := inject.Inject(c.pod, plan)

			if !equality.Semantic.DeepEqual(before, c.pod) {
				t.Error("Inject changed the pod it was given")
			}
			got := outcome(t, injected, err)
			if *update {
				c.write(t, got)
			} else if got != c.expected {
				t.Errorf("got:\n%s\nwant:\n%s\n(with -update the case takes what it got)", got, c.expected)
			}
			if err != nil {
				if _, shapeErr := inject.Shape(c.pod, plan); shapeErr == nil || shapeErr.Error() != err.Error() {
					t.Errorf("Shape says %v, Inject %v", shapeErr, err)
				}
				return
			}
			checkShape(t, c.pod, injected, plan)
			checkIdempotent(t, injected, plan)
			checkPatch(t, c.pod, injected)
		})
	}
}

func checkShape(t *testing.T, pod, injected *corev1.Pod, plan inject.Plan) {
	t.Helper()
	for name, p := range map[string]*corev1.Pod{"new": pod, "running": injected} {
		shape, err := inject.Shape(p, plan)
		if want := injected.Annotations[v1alpha1.AnnotationPodShape]; err != nil || shape != want {
			t.Errorf("the shape of the %s pod is %q (%v), its annotation says %q", name, shape, err, want)
		}
	}
}

func checkIdempotent(t *testing.T, injected *corev1.Pod, plan inject.Plan) {
	t.Helper()
	again, err := inject.Inject(injected, plan)
	if err != nil {
		t.Fatalf("the injected pod is refused: %v", err)
	}
	if !equality.Semantic.DeepEqual(injected, again) {
		t.Errorf("injecting again changed the pod:\n%s", outcome(t, again, nil))
	}
	patch, err := inject.Patch(injected, again)
	if err != nil || len(patch) != 0 {
		t.Errorf("injecting again makes a patch: %v (%v)", patch, err)
	}
}

// patchOf is the patch from a pod to its injected self, as the API server reads
// it.
func patchOf(t *testing.T, pod, injected *corev1.Pod) jsonpatch.Patch {
	t.Helper()
	operations, err := inject.Patch(pod, injected)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(operations)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	return patch
}

// checkPatch applies the patch to the pod as an API server might send it that
// is newer than this build.
func checkPatch(t *testing.T, pod, injected *corev1.Pod) {
	t.Helper()
	patched, err := patchOf(t, pod, injected).Apply(withNewerFields(t, pod))
	if err != nil {
		t.Fatalf("apply the patch: %v", err)
	}
	if !bytes.Equal(canonical(t, patched), canonical(t, withNewerFields(t, injected))) {
		t.Errorf("the patched pod is\n%s\nwant\n%s", patched, withNewerFields(t, injected))
	}
}

// withNewerFields marshals a pod with a field no build knows yet in the pod and
// in each container but the sidecar.
func withNewerFields(t *testing.T, pod *corev1.Pod) []byte {
	t.Helper()
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]any
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	spec := raw["spec"].(map[string]any)
	spec["newerThanThisBuild"] = "pod"
	for _, list := range []string{"containers", "initContainers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			if container := c.(map[string]any); container["name"] != "bff" {
				container["newerThanThisBuild"] = container["name"]
			}
		}
	}
	text, err = json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func canonical(t *testing.T, text []byte) []byte {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

type goldenCase struct {
	file     string
	input    string
	policy   *v1alpha1.BFFPolicy
	pod      *corev1.Pod
	expected string
}

func read(t *testing.T, file string) goldenCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.SplitN(string(text), "\n---\n", 3)
	if len(documents) < 2 {
		t.Fatalf("%s has no pod after its policy", file)
	}
	c := goldenCase{file: file, policy: new(v1alpha1.BFFPolicy), pod: new(corev1.Pod)}
	if err := yaml.UnmarshalStrict([]byte(documents[0]), c.policy); err != nil {
		t.Fatalf("policy of %s: %v", file, err)
	}
	if err := yaml.UnmarshalStrict([]byte(documents[1]), c.pod); err != nil {
		t.Fatalf("pod of %s: %v", file, err)
	}
	c.input = strings.TrimRight(strings.Join(documents[:2], "\n---\n"), "\n") + "\n"
	if len(documents) == 3 {
		c.expected = documents[2]
	}
	return c
}

func (c goldenCase) write(t *testing.T, expected string) {
	t.Helper()
	if err := os.WriteFile(c.file, []byte(c.input+"---\n"+expected), 0o644); err != nil {
		t.Fatal(err)
	}
}

// outcome renders what Inject returned.
func outcome(t *testing.T, pod *corev1.Pod, err error) string {
	t.Helper()
	var value any = pod
	if refused := (*denial.Denial)(nil); errors.As(err, &refused) {
		value = map[string]any{"denied": map[string]any{"reason": refused.Reason(), "message": refused.Error()}}
	} else if err != nil {
		t.Fatalf("the error is no denial: %v", err)
	}
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
