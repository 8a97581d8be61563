package cache

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatIsReadIsKnownUntilItIsOldOrForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache[string, int]
		reads := 0
		get := func(key string, want int) {
			t.Helper()
			if got, err := c.Get(key, func() (int, error) { reads++; return reads, nil }); got != want || err != nil {
				t.Errorf("%q: %d %v, want %d", key, got, err, want)
			}
		}
		get("a", 1)
		get("b", 2)
		get("a", 1)
		time.Sleep(life - 1)
		get("a", 1)
		time.Sleep(time.Nanosecond)
		get("a", 3)
		get("b", 4)
		c.Forget("a", "c")
		get("a", 5)
		get("b", 4)
		if got, err := c.Refresh("b", func() (int, error) { return 9, nil }); got != 9 || err != nil {
			t.Errorf("refreshed: %d %v, want 9", got, err)
		}
		get("b", 9)
	})
}

func TestWhatWasReadBeforeAChangeIsNotKept(t *testing.T) {
	var c Cache[string, int]
	for want := range 2 {
		got, err := c.Get("a", func() (int, error) {
			if want == 0 {
				c.Forget("a")
			}
			return want, nil
		})
		if got != want || err != nil {
			t.Errorf("%d %v, want %d", got, err, want)
		}
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	var c Cache[string, int]
	broken := errors.New("broken")
	if _, err := c.Get("a", func() (int, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if got, err := c.Get("a", func() (int, error) { return 7, nil }); got != 7 || err != nil {
		t.Errorf("%d %v", got, err)
	}
}

func TestAFullCacheMakesRoom(t *testing.T) {
	var c Cache[int, int]
	for key := range size + 10 {
		if _, err := c.Get(key, func() (int, error) { return key, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.entries) != 10 {
		t.Errorf("%d entries", len(c.entries))
	}
}
