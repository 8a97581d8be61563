package bench

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes its user at given times, by a timerfd. Go's timers are late by up to a millisecond, since they wait in epoll,
// which counts in milliseconds; that would be half of the latency of a commit.
type alarm struct {
	file *os.File
	stop func() bool
	read [8]byte
}

// newAlarm returns an alarm that rings until the context ends.
func newAlarm(ctx context.Context) (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	a := &alarm{file: os.NewFile(uintptr(fd), "timer")}
	a.stop = context.AfterFunc(ctx, func() { a.file.Close() })
	return a, nil
}

// wait returns after d, or with an error when the context has ended.
func (a *alarm) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	raw, err := a.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.TimerfdSettime(int(fd), 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}, nil)
	}); err != nil {
		return err
	}
	if failed != nil {
		return os.NewSyscallError("timerfd_settime", failed)
	}
	_, err = a.file.Read(a.read[:])
	return err
}

// close gives the timerfd back, unless the end of the context has.
func (a *alarm) close() {
	if a.stop() {
		a.file.Close()
	}
}
