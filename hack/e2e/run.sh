#!/usr/bin/env bash
# Runs the end-to-end tests on the cluster kubectl talks to. With
# E2E_SCREENSHOTS set to a folder, pictures of the pages are left there.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec go test -tags e2e -count=1 -v -timeout 20m ./hack/e2e/...
