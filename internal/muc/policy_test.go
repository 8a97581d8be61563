package muc

import (
	"bytes"
	"os"
	"testing"
)

func TestThePageOfPermissionsIsThatOfTheTable(t *testing.T) {
	var want bytes.Buffer
	if err := WritePolicy(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/permissions.md is not what the table says; run: go generate ./internal/muc")
	}
	for i, rule := range Policy {
		if int(rule.Operation) != i {
			t.Errorf("rule %d is that of operation %d", i, rule.Operation)
		}
	}
}
