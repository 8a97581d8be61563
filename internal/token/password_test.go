package token

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
)

// Hashes of "password" with the salt "somesalt", from the tests of the argon2 reference implementation.
const (
	reference    = "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"
	referenceBig = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
)

func TestAPasswordIsCheckedAgainstItsHash(t *testing.T) {
	for _, password := range []string{"correct horse", "", "pässwörd", strings.Repeat("x", 1000)} {
		hash, err := HashPassword(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := CheckPassword(t.Context(), hash, password); !ok || err != nil {
			t.Errorf("CheckPassword(%q, %q) = %v, %v", hash, password, ok, err)
		}
		if ok, err := CheckPassword(t.Context(), hash, password+" "); ok || err != nil {
			t.Errorf("CheckPassword with a wrong password = %v, %v", ok, err)
		}
	}
}

func TestHashesAreSaltedPHCStrings(t *testing.T) {
	form := regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`)
	a, err := HashPassword(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	b, err := HashPassword(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	if a == b || !form.MatchString(a) || !form.MatchString(b) {
		t.Errorf("hashes %q, %q", a, b)
	}
}

func TestHashesOfTheReferenceImplementationAreRead(t *testing.T) {
	for _, hash := range []string{reference, referenceBig} {
		if ok, err := CheckPassword(t.Context(), hash, "password"); !ok || err != nil {
			t.Errorf("CheckPassword(%q) = %v, %v", hash, ok, err)
		}
		if ok, err := CheckPassword(t.Context(), hash, "Password"); ok || err != nil {
			t.Errorf("CheckPassword(%q) with a wrong password = %v, %v", hash, ok, err)
		}
	}
}

func TestUnusableHashesAreRefused(t *testing.T) {
	change := func(old, new string) string {
		s := strings.Replace(reference, old, new, 1)
		if s == reference {
			t.Fatalf("%q not found", old)
		}
		return s
	}
	for name, hash := range map[string]string{
		"empty":                  "",
		"plain text":             "password",
		"bcrypt":                 "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"argon2i":                change("argon2id", "argon2i"),
		"another version":        change("v=19", "v=16"),
		"no version":             change("$v=19", ""),
		"no memory":              change("m=256", "m=0"),
		"memory over the bound":  change("m=256", "m=65537"),
		"memory past 32 bits":    change("m=256", "m=4294967552"),
		"memory negative":        change("m=256", "m=-256"),
		"no passes":              change("t=2", "t=0"),
		"passes over the bound":  change("t=2", "t=9"),
		"no threads":             change("p=2", "p=0"),
		"threads over the bound": change("p=2", "p=258"),
		"parameters swapped":     change("m=256,t=2", "t=2,m=256"),
		"a parameter too many":   change("p=2", "p=2,x=1"),
		"a parameter too few":    change(",p=2", ""),
		"no salt":                change("c29tZXNhbHQ", ""),
		"short salt":             change("c29tZXNhbHQ", "c29tZXNh"),
		"long salt":              change("c29tZXNhbHQ", strings.Repeat("c29tZXNh", 12)),
		"broken salt":            change("c29tZXNhbHQ", "c29tZXNhbH!"),
		"no hash":                change("bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", ""),
		"padded hash":            reference + "=",
		"something after it":     reference + "$",
		"something before it":    "x" + reference,
	} {
		t.Run(name, func(t *testing.T) {
			if ok, err := CheckPassword(t.Context(), hash, "password"); ok || !errors.Is(err, ErrPasswordHash) {
				t.Errorf("CheckPassword(%q) = %v, %v", hash, ok, err)
			}
		})
	}
}

// waiting is a context that tells when somebody begins to wait for its end.
type waiting struct {
	context.Context
	begun chan<- struct{}
}

func (w waiting) Done() <-chan struct{} {
	w.begun <- struct{}{}
	return w.Context.Done()
}

func TestHashingWaitsForASlotOrTheEndOfItsContext(t *testing.T) {
	for range cap(hashing) {
		hashing <- struct{}{}
	}
	begun, results := make(chan struct{}), make(chan error)
	ended, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := HashPassword(waiting{ended, begun}, "secret")
		results <- err
	}()
	<-begun
	go func() {
		_, err := CheckPassword(waiting{ended, begun}, reference, "password")
		results <- err
	}()
	<-begun
	cancel()
	for range 2 {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v with all slots taken", err)
		}
	}

	go func() {
		ok, err := CheckPassword(waiting{t.Context(), begun}, reference, "password")
		if !ok {
			t.Error("wrong answer after the wait")
		}
		results <- err
	}()
	<-begun
	<-hashing
	if err := <-results; err != nil {
		t.Errorf("error %v after a slot came free", err)
	}
	for range cap(hashing) - 1 {
		<-hashing
	}
	if n := len(hashing); n != 0 {
		t.Errorf("%d slots are not given back", n)
	}
	for range 50 {
		if _, err := CheckPassword(ended, reference, "password"); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v with free slots and an ended context", err)
		}
	}
}

func BenchmarkCheckPassword(b *testing.B) {
	hash, err := HashPassword(b.Context(), "secret")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := CheckPassword(b.Context(), hash, "secret"); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
