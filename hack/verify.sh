#!/usr/bin/env bash
# Fails when what is generated, formatted or allowed to be imported differs
# from what is checked in.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
complain() {
  echo "verify: $1" >&2
  failed=1
}

unformatted=$(gofmt -l $(git ls-files '*.go'))
[ -z "$unformatted" ] || complain "run gofmt -w on: $unformatted"

for module in . hack/cluster hack/cluster/coredns hack/images; do
  go -C "$module" vet ./... || complain "go vet fails in $module"
  go -C "$module" mod tidy -diff >/dev/null || complain "run go mod tidy in $module"
done
go vet -tags e2e ./hack/e2e/... || complain "go vet fails in hack/e2e"
go vet -tags conformance ./hack/conformance/... || complain "go vet fails in hack/conformance"
GOFLAGS=-mod=mod go run "$STATICCHECK" -tags e2e,conformance ./... || complain "staticcheck has findings"

# Generate into a copy of the checked-in files, then compare.
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
generated=(api config/crd config/rbac config/default config/manager config/webhook charts docs/reference.md)
cp -r --parents "${generated[@]}" "$before"
make -s generate
for path in "${generated[@]}"; do
  diff -r "$before/$path" "$path" >&2 || complain "$path was not generated from its source: commit what make generate wrote"
done

# The image stays small and its attack surface too. A template engine makes the
# linker keep every exported method: twice the binary.
forbidden=$(go list -deps ./sidecar | grep -E '^(text/template|html/template|k8s\.io/client-go|sigs\.k8s\.io/controller-runtime|github\.com/bff-operator/bff-operator/(controllers|webhook))' || true)
[ -z "$forbidden" ] || complain "sidecar must not import: $forbidden"
pure=$(go list -deps ./webhook/internal/inject ./webhook/internal/match | grep -E '^(k8s\.io/client-go|sigs\.k8s\.io/controller-runtime)$' || true)
[ -z "$pure" ] || complain "webhook's deciders must stay pure, but import: $pure"

exit $failed
