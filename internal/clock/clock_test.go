package clock

import (
	"sync"
	"testing"
	"time"
)

func TestAClockShowsTheMachinesTimeUntilItIsMoved(t *testing.T) {
	c := New()
	before := time.Now()
	now := c.Now()
	if now.Before(before) || now.After(time.Now()) {
		t.Errorf("it shows %v, the machine %v", now, before)
	}
	c.Advance(time.Hour)
	c.Advance(time.Minute)
	if ahead := time.Until(c.Now()); ahead < time.Hour+time.Minute-time.Second || ahead > time.Hour+time.Minute {
		t.Errorf("it is ahead by %v", ahead)
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	c := New()
	moved := c.Moved()
	c.Advance(0)
	c.Advance(-time.Hour)
	if behind := time.Since(c.Now()); behind > time.Second {
		t.Errorf("it went back by %v", behind)
	}
	select {
	case <-moved:
		t.Error("a move was told although there was none")
	default:
	}
}

func TestAMoveWakesAllWhoWaitAndNoneWhoComesLater(t *testing.T) {
	c := New()
	var woken sync.WaitGroup
	for range 3 {
		moved := c.Moved()
		woken.Go(func() { <-moved })
	}
	c.Advance(time.Second)
	woken.Wait()
	select {
	case <-c.Moved():
		t.Error("an old move was told")
	default:
	}
}

func TestMovesOfManyAddUp(t *testing.T) {
	c := New()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				c.Advance(time.Minute)
				c.Moved()
				c.Now()
			}
		})
	}
	all.Wait()
	if ahead := time.Until(c.Now()); ahead < 799*time.Minute || ahead > 800*time.Minute {
		t.Errorf("it is ahead by %v", ahead)
	}
}
