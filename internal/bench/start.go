package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"time"
)

// Start is the workload of a server that starts: how long it takes from exec to the first accepted login.
type Start struct {
	Binary string `name:"binary" help:"The program to start; default: this one." placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Print the result as JSON."`
	Repeat int    `name:"repeat" help:"How often to measure; the median is told." default:"5"`
}

// Validate reports what is wrong with the settings.
func (s *Start) Validate() error { return atLeast("repeat", s.Repeat, 1) }

// Run starts `stoa dev` with throwaway data, logs a user in by token, and ends it again.
func (s *Start) Run(ctx context.Context) (*Result, error) {
	binary := s.Binary
	if binary == "" {
		var err error
		if binary, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	result := newResult("start")
	took, err := started(ctx, binary)
	result.StartMS = float64(took) / float64(time.Millisecond)
	return result, err
}

var restAddress = regexp.MustCompile(`REST\s+(http://127\.0\.0\.1:\d+)`)

func started(ctx context.Context, binary string) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, binary, "dev", "--listen", "127.0.0.1:0")
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	said, err := command.StdoutPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := command.Start(); err != nil {
		return 0, err
	}
	defer func() {
		cancel()
		io.Copy(io.Discard, said)
		command.Wait() // it was told to end: how it does is no part of the measurement
	}()
	for lines := bufio.NewScanner(said); lines.Scan(); {
		m := restAddress.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		target := Target{URL: m[1], App: "stoa#demo", ClientID: "stoa-demo-id", ClientSecret: "stoa-demo-secret"}
		crowd, err := gather(ctx, target, heartbeat)
		if err != nil {
			return 0, err
		}
		defer crowd.Close()
		token, err := crowd.register(ctx, crowd.name("u", 0))
		if err != nil {
			return 0, err
		}
		if _, err := crowd.login(ctx, crowd.name("u", 0), token, idle{}); err != nil {
			return 0, fmt.Errorf("first login: %w", err)
		}
		return time.Since(began), nil
	}
	return 0, errors.New("the server ended before it told its address")
}
