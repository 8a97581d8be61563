package server

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/stoa-chat/stoa/"

// layers is the house from the top floor down: a package may import what stands on floors below its own, and nothing
// else of ours. docs/architecture.md draws it.
var layers = [][]string{
	{"cmd/stoa", "chattest"},
	{"internal/server"},
	{"internal/gateway", "internal/rest", "internal/console", "internal/migrate", "internal/seed"},
	{"internal/message"},
	{"internal/contact", "internal/muc"},
	{"internal/presence", "internal/push", "internal/file", "internal/moderation", "internal/webhook"},
	{"internal/account"},
	{"internal/rehearse", "internal/ruleset"},
	{"internal/delivery"},
	{"internal/store/sqlite", "internal/store/postgres"},
	{"internal/store/tables"},
	{"internal/store", "internal/bus", "internal/blob", "internal/picture", "internal/msync", "internal/config", "internal/clock", "internal/token",
		"internal/translate", "internal/limit", "internal/cache", "internal/heap"},
	{"errcode"},
}

// apart are the packages that are no part of the server, with all that they may import.
var apart = map[string][]string{
	"chat":                {"errcode", "internal/msync", "internal/restclient"},
	"admin":               {"errcode", "internal/restclient"},
	"internal/restclient": {"errcode"},
	"internal/bench":      {"errcode", "internal/msync"},
	"errcode":             {},
}

func TestArrowsGoDownOnly(t *testing.T) {
	floor := map[string]int{}
	for i, names := range layers {
		for _, name := range names {
			floor[name] = i
		}
	}
	for name, imports := range packages(t) {
		if allowed, ok := apart[name]; ok {
			for _, used := range imports {
				if !slices.Contains(allowed, used) {
					t.Errorf("%s imports %s; it may import %v only", name, used, allowed)
				}
			}
			continue
		}
		mine, ok := floor[name]
		if !ok {
			t.Errorf("%s has no place in the house: give it one in layers, and in docs/architecture.md", name)
			continue
		}
		for _, used := range imports {
			theirs, ok := floor[used]
			if _, beside := apart[used]; beside && mine == 0 {
				continue // the top floor uses also what is no part of the server
			}
			if !ok || theirs <= mine {
				t.Errorf("%s imports %s, which does not stand below it", name, used)
			}
		}
	}
}

// packages returns what each package of the module imports of the module, tests and generators left out.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	all := map[string][]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(name, "test/") || strings.HasPrefix(name, "internal/") && strings.HasSuffix(name, "test") || strings.HasSuffix(name, "internal/gen") {
			continue
		}
		all[name] = nil
		for _, used := range p.Imports {
			if ours, ok := strings.CutPrefix(used, module); ok {
				all[name] = append(all[name], ours)
			}
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages were found: %v", len(all), all)
	}
	return all
}
