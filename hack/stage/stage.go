// Package stage sets the whole product up on a cluster, the way a user would:
// helm for the operator, kubectl for the sample shop. The demo and the
// end-to-end tests stand on the same stage.
package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Names of what the stage is made of.
const (
	OperatorNamespace = "bff-system"
	ShopNamespace     = "shop"
	ProviderNamespace = "id"
	Release           = "bff"

	// ShopURL is where the browser opens the shop, and IssuerURL where it is sent
	// to log in. Browsers resolve *.localhost to loopback.
	ShopURL   = "http://localhost:8080"
	IssuerURL = "http://id.localhost:8090"
)

// operatorDeployment is what the chart calls the operator when the release is
// called Release.
const operatorDeployment = "bff-operator"

// sampleImage is the image the sample's manifests name.
const sampleImage = "localhost/bff-demo:dev"

// Stage is a cluster to set the product up on: the one kubectl and helm talk
// to.
type Stage struct {
	// Root is the folder of the checkout.
	Root string
	// ImagePrefix and ImageTag say which images to run, prefix/name:tag.
	ImagePrefix, ImageTag string
	// Progress gets a line for each step.
	Progress io.Writer
}

// step is one thing to do, with a name for people.
type step struct {
	name string
	run  func(context.Context) error
}

// Install brings up the operator and the sample shop, and returns when both
// are ready. Where they run already they are restarted, since an image may have
// changed behind its tag.
func (s *Stage) Install(ctx context.Context) error {
	steps := []step{
		{"operator and session store by helm", s.InstallOperator},
		{"sample shop, its API and an identity provider", s.ApplyShop},
		{"pods become ready", s.WaitForShop},
	}
	if _, err := s.run(ctx, nil, "kubectl", "get", "-n", ShopNamespace, "deployment/web"); err == nil {
		steps = slices.Insert(steps, 2, step{"restart with the current images", s.restart})
	}
	for _, step := range steps {
		start := time.Now()
		fmt.Fprintf(s.Progress, "  %-50s ", step.name)
		if err := step.run(ctx); err != nil {
			fmt.Fprintln(s.Progress, "failed")
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(s.Progress, "%5.1f s\n", time.Since(start).Seconds())
	}
	return nil
}

// InstallOperator installs or upgrades the chart with the stage's images.
func (s *Stage) InstallOperator(ctx context.Context) error {
	image := func(name string) string { return s.ImagePrefix + "/" + name }
	_, err := s.run(ctx, nil, "helm", "upgrade", "--install", Release, filepath.Join(s.Root, "charts/bff-operator"),
		"--namespace", OperatorNamespace, "--create-namespace", "--wait", "--timeout", "3m",
		"--set", "image.repository="+image("bff-operator"), "--set", "image.tag="+s.ImageTag,
		"--set", "sidecar.image.repository="+image("bff-sidecar"), "--set", "sidecar.image.tag="+s.ImageTag,
		"--set", "store.embedded.image.repository="+image("bff-redis"), "--set", "store.embedded.image.tag="+s.ImageTag)
	return err
}

// ApplyShop applies config/samples/shop.
func (s *Stage) ApplyShop(ctx context.Context) error {
	manifests, err := s.run(ctx, nil, "kubectl", "kustomize", filepath.Join(s.Root, "config/samples/shop"))
	if err != nil {
		return err
	}
	manifests = bytes.ReplaceAll(manifests, []byte(sampleImage), []byte(s.ImagePrefix+"/bff-demo:"+s.ImageTag))
	_, err = s.run(ctx, manifests, "kubectl", "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

// restart replaces all pods but the session store's, operator first.
func (s *Stage) restart(ctx context.Context) error {
	for _, target := range [][]string{
		{OperatorNamespace, "deployment/" + operatorDeployment},
		{ProviderNamespace, "deployment"},
		{ShopNamespace, "deployment"},
	} {
		if _, err := s.run(ctx, nil, "kubectl", "rollout", "restart", "-n", target[0], target[1]); err != nil {
			return err
		}
		if _, err := s.run(ctx, nil, "kubectl", "rollout", "status", "-n", target[0], target[1], "--timeout=120s"); err != nil {
			return errors.Join(err, s.explain(ctx, target[0]))
		}
	}
	return nil
}

// WaitForShop waits until the sample's Deployments are available and the
// policy says Ready.
func (s *Stage) WaitForShop(ctx context.Context) error {
	for _, namespace := range []string{ProviderNamespace, ShopNamespace} {
		if _, err := s.run(ctx, nil, "kubectl", "wait", "-n", namespace, "--for=condition=Available", "--timeout=120s", "deployment", "--all"); err != nil {
			return errors.Join(err, s.explain(ctx, namespace))
		}
	}
	_, err := s.run(ctx, nil, "kubectl", "wait", "-n", ShopNamespace, "--for=condition=Ready", "--timeout=60s", "bffpolicy", "--all")
	return err
}

// explain says what the cluster itself says about a namespace that does not
// become ready.
func (s *Stage) explain(ctx context.Context, namespace string) error {
	pods, _ := s.run(ctx, nil, "kubectl", "get", "pods", "-n", namespace)
	events, _ := s.run(ctx, nil, "kubectl", "events", "-n", namespace, "--types=Warning")
	return fmt.Errorf("pods in %s:\n%s\nwarnings:\n%s", namespace, pods, events)
}

// Remove takes the sample and the operator away again.
func (s *Stage) Remove(ctx context.Context) error {
	_, sample := s.run(ctx, nil, "kubectl", "delete", "-k", filepath.Join(s.Root, "config/samples/shop"), "--ignore-not-found", "--wait")
	_, operator := s.run(ctx, nil, "helm", "uninstall", Release, "--namespace", OperatorNamespace, "--ignore-not-found", "--wait")
	return errors.Join(sample, operator)
}

// Kubectl runs kubectl and returns what it printed.
func (s *Stage) Kubectl(ctx context.Context, args ...string) (string, error) {
	out, err := s.run(ctx, nil, "kubectl", args...)
	return string(out), err
}

// KubectlStdin is Kubectl with something on standard input.
func (s *Stage) KubectlStdin(ctx context.Context, stdin string, args ...string) (string, error) {
	out, err := s.run(ctx, []byte(stdin), "kubectl", args...)
	return string(out), err
}

// run runs a program. Its error holds what the program printed on standard
// error, since that is what tells a person what went wrong.
func (s *Stage) run(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	cmd.Env = os.Environ()
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}
