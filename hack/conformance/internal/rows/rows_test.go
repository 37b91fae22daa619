package rows_test

import (
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/rows"
)

const list = `
- title: One
  source: RFC 1
  rows:
  - {id: A-1, strength: MUST, title: first}
  - {id: A-2, strength: MUST, title: second}
  - {id: A-3, strength: info, title: third}
`

func book(t *testing.T, notCovered string) *rows.Book {
	t.Helper()
	b, err := rows.Open([]byte(list), []byte(notCovered))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestARowPassesIfAllItsTestsPass(t *testing.T) {
	b := book(t, `[{id: A-2, why: out of scope}]`)
	b.Note("A-1", "TestX", rows.Passed)
	b.Note("A-1", "TestY", rows.Passed)
	var out strings.Builder
	if err := b.Table(&out, true); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"A-1      passed", "A-2      not covered second (out of scope)", "A-3      information", "1 passed, 0 failed, 0 skipped, 1 not covered, 1 for information"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	b.Note("A-1", "TestY", rows.Failed)
	if err := b.Table(&out, true); err == nil || !strings.Contains(err.Error(), "failed: A-1") {
		t.Errorf("%v", err)
	}
}

func TestWhatIsNeitherProvenNorArguedFails(t *testing.T) {
	b := book(t, `[]`)
	b.Note("A-1", "TestX", rows.Skipped)
	var out strings.Builder
	if err := b.Table(&out, true); err == nil || !strings.Contains(err.Error(), "A-1, A-2") {
		t.Errorf("%v", err)
	}
	if err := b.Table(&out, false); err != nil {
		t.Errorf("a partial run: %v", err)
	}
}

func TestAnArgumentForACoveredRowIsStale(t *testing.T) {
	b := book(t, `[{id: A-1, why: x}, {id: A-2, why: x}]`)
	b.Note("A-1", "TestX", rows.Passed)
	var out strings.Builder
	if err := b.Table(&out, true); err == nil || !strings.Contains(err.Error(), "though a test covers them: A-1") {
		t.Errorf("%v", err)
	}
}

func TestListsWithMistakesAreRefused(t *testing.T) {
	for _, notCovered := range []string{`[{id: B-1, why: x}]`, `[{id: A-1}]`, `[{id: A-1, why: x}, {id: A-1, why: x}]`, `[{id: A-1, reason: x}]`} {
		if _, err := rows.Open([]byte(list), []byte(notCovered)); err == nil {
			t.Errorf("accepted %s", notCovered)
		}
	}
	if _, err := rows.Open([]byte(list+list), []byte(`[]`)); err == nil {
		t.Error("accepted every row twice")
	}
}
