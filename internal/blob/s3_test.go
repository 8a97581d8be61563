package blob_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stoa-chat/stoa/internal/blob"
	"github.com/stoa-chat/stoa/internal/blob/blobtest"
)

// s3 returns the URL of a bucket of a server, and a prefix in it that nobody else uses.
func s3(t *testing.T) string {
	t.Helper()
	const variable = "STOA_TEST_S3"
	address := os.Getenv(variable)
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(variable + " is not set")
		}
		t.Skip("needs a server: export " + variable + "=$(scripts/s3.sh start DIR)")
	}
	bucket, query, _ := strings.Cut(address, "?")
	return bucket + "/tests/" + uuid.NewString() + "?" + query
}

func TestS3(t *testing.T) {
	address := s3(t)
	blobtest.Run(t, func(t *testing.T) blob.Store {
		s, err := blob.Open(t.Context(), strings.Replace(address, "?", "/"+uuid.NewString()+"?", 1))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestAnS3StoreThatCannotBeUsedIsSaidAtOnce(t *testing.T) {
	address := s3(t)
	for name, change := range map[string][2]string{
		"no such bucket":  {"@stoa/", "@nothing/"},
		"a wrong secret":  {"stoa:stoa-secret@", "stoa:another-secret@"},
		"an unknown user": {"stoa:stoa-secret@", "nobody:stoa-secret@"},
	} {
		wrong := strings.Replace(address, change[0], change[1], 1)
		if wrong == address {
			t.Skipf("the URL has no %s", change[0]) // somebody else's server
		}
		if _, err := blob.Open(t.Context(), wrong); err == nil {
			t.Errorf("%s: it was opened", name)
		} else if strings.Contains(err.Error(), "-secret") {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}

func TestTheKeysOfAnS3StoreMayBeInTheEnvironment(t *testing.T) {
	address := s3(t)
	keys, rest, ok := strings.Cut(strings.TrimPrefix(address, "s3://"), "@")
	id, secret, _ := strings.Cut(keys, ":")
	if !ok {
		t.Skip("they are there already")
	}
	t.Setenv("AWS_ACCESS_KEY_ID", id)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	if _, err := blob.Open(t.Context(), "s3://"+rest); err != nil {
		t.Error(err)
	}
}
