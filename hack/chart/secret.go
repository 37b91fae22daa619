package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// storeSecret is the Secret of the embedded store, as the chart names it in the
// documented release.
const storeSecret = "bff-operator-store"

var passwordHash = regexp.MustCompile(`#[0-9a-f]{64}`)

// secretCommands are the shell commands that make the Secret of the embedded
// store, for those who cannot let helm make it. The users in it are those of the
// chart.
func secretCommands(objects []unstructured.Unstructured) (string, error) {
	for _, object := range objects {
		if object.GetKind() != "Secret" || object.GetName() != storeSecret {
			continue
		}
		encoded, _, err := unstructured.NestedString(object.Object, "data", "users.acl")
		if err != nil {
			return "", err
		}
		users, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return "", fmt.Errorf("read users.acl of Secret %s: %w", storeSecret, err)
		}
		if !passwordHash.Match(users) {
			return "", fmt.Errorf("users.acl of Secret %s has no hash of a password", storeSecret)
		}
		return fmt.Sprintf(secretScript, passwordHash.ReplaceAllLiteralString(strings.TrimSpace(string(users)), "#$hash"), namespace, storeSecret), nil
	}
	return "", errors.New("the chart renders no Secret " + storeSecret)
}

const secretScript = `password=$(openssl rand -hex 32)
hash=$(printf %%s "$password" | openssl dgst -sha256 -r | cut -d' ' -f1)
users="%[1]s
"
kubectl -n %[2]s create secret generic %[3]s \
  --from-literal=password="$password" --from-literal=users.acl="$users"
`
