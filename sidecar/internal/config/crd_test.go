package config_test

import (
	"context"
	"os"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/json" // numbers without a fraction become integers, as in an API server
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
)

// apiServer validates an object the way an API server does, with its code and
// our CRD.
type apiServer struct {
	structural *schema.Structural
	schema     validation.SchemaValidator
	rules      *cel.Validator
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	data, err := os.ReadFile("../../../config/crd/bff-operator.io_bffpolicies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &internal, nil); err != nil {
		t.Fatal(err)
	}
	s := &apiServer{}
	if s.structural, err = schema.NewStructural(&internal); err != nil {
		t.Fatal(err)
	}
	if s.schema, _, err = validation.NewSchemaValidator(&internal); err != nil {
		t.Fatal(err)
	}
	s.rules = cel.NewValidator(s.structural, true, 10_000_000)
	return s
}

func (s *apiServer) admit(t *testing.T, p *v1alpha1.BFFPolicy) (*v1alpha1.BFFPolicy, field.ErrorList) {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	defaulting.Default(object, s.structural)
	errs := validation.ValidateCustomResource(nil, object, s.schema)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if len(errs) == 0 {
		ruleErrs, _ := s.rules.Validate(context.Background(), nil, s.structural, object, nil, 100_000_000)
		errs = append(errs, ruleErrs...)
	}
	data, err = json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	admitted := new(v1alpha1.BFFPolicy)
	if err := json.Unmarshal(data, admitted); err != nil {
		t.Fatal(err)
	}
	return admitted, errs
}

// What a file may say is what an object may say: for every case the sidecar
// and an API server come to the same verdict.
func TestValidateAgreesWithTheCRD(t *testing.T) {
	server := newAPIServer(t)
	for _, m := range mutations(t) {
		p := policy(t)
		m.mutate(&p.Spec)
		_, errs := server.admit(t, p)
		if refused := len(errs) > 0; refused != (m.field != "") {
			t.Errorf("%s: the API server says %v", m.name, errs)
		}
	}
}

func TestDefaultsAgreeWithTheCRD(t *testing.T) {
	server := newAPIServer(t)
	p := decode(t, minimal)
	p.Spec.Routes = []v1alpha1.Route{{Name: "api", Path: "/api", Upstream: v1alpha1.Upstream{URL: "http://api"}}}
	admitted, errs := server.admit(t, p)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	// The API leaves methods out, where that means all of them.
	ours := config.Defaulted(p)
	ours.Spec.Routes[0].Methods = nil
	want, _ := json.Marshal(admitted)
	got, _ := json.Marshal(ours)
	if string(got) != string(want) {
		t.Errorf("defaults differ:\nours %s\nCRD  %s", got, want)
	}
}
