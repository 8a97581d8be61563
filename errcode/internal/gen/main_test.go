package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/errcode"
)

func TestTheGeneratedConstantsAreUpToDate(t *testing.T) {
	want, err := constants(errcode.All())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../codes.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("codes.gen.go is not what the catalogue gives; run: go generate ./errcode\n(-catalogue +file)\n%s", diff)
	}
}
