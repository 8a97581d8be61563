package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"github.com/stoa-chat/stoa/internal/bench"
)

type benchCommand struct {
	Direct  benchDirect  `cmd:"" help:"Closed loop between pairs of users: durable one-to-one messages."`
	Open    benchOpen    `cmd:"" help:"The same on a schedule: times count from when a message was due."`
	Group   benchGroup   `cmd:"" help:"Closed loop in a group: every message must reach every member."`
	Room    benchRoom    `cmd:"" help:"Closed loop in a chatroom that everybody has entered."`
	Idle    benchIdle    `cmd:"" help:"Users who are online and do nothing: memory for each."`
	Logins  benchLogins  `cmd:"" help:"Users who sign in by token."`
	Catchup benchCatchUp `cmd:"" help:"A user who comes back to messages that wait."`
	Start   benchStart   `cmd:"" help:"From exec to the first accepted login."`
}

type (
	benchDirect  struct{ bench.Direct }
	benchOpen    struct{ bench.Open }
	benchGroup   struct{ bench.Group }
	benchRoom    struct{ bench.Room }
	benchIdle    struct{ bench.Rest }
	benchLogins  struct{ bench.Logins }
	benchCatchUp struct{ bench.CatchUp }
	benchStart   struct{ bench.Start }
)

func (c *benchDirect) Run(ctx context.Context) error { return measureLoad(ctx, &c.Load, c.Direct.Run) }
func (c *benchOpen) Run(ctx context.Context) error   { return measureLoad(ctx, &c.Load, c.Open.Run) }
func (c *benchGroup) Run(ctx context.Context) error  { return measureLoad(ctx, &c.Load, c.Group.Run) }
func (c *benchRoom) Run(ctx context.Context) error   { return measureLoad(ctx, &c.Load, c.Room.Run) }
func (c *benchIdle) Run(ctx context.Context) error   { return measureLoad(ctx, &c.Load, c.Rest.Run) }
func (c *benchLogins) Run(ctx context.Context) error { return measureLoad(ctx, &c.Load, c.Logins.Run) }
func (c *benchCatchUp) Run(ctx context.Context) error {
	return measureLoad(ctx, &c.Load, c.CatchUp.Run)
}
func (c *benchStart) Run(ctx context.Context) error {
	return measure(ctx, c.Repeat, c.JSON, "", c.Start.Run)
}

func measureLoad(ctx context.Context, load *bench.Load, run func(context.Context) (*bench.Result, error)) error {
	load.Progress = os.Stderr
	return measure(ctx, load.Repeat, load.JSON, load.Plot, run)
}

// measure runs a workload, several times if that is wished, and prints its result, or what the results say together. It
// ends with the first run that finds a broken promise.
func measure(ctx context.Context, repeat int, asJSON bool, plot string, run func(context.Context) (*bench.Result, error)) (err error) {
	if repeat < 1 {
		return errors.New("repeat must be at least 1")
	}
	var results []*bench.Result
	for range repeat {
		result, fault := run(ctx)
		if result != nil {
			results = append(results, result)
		}
		if err = fault; err != nil || ctx.Err() != nil {
			break
		}
	}
	if len(results) == 0 {
		return err
	}
	last := results[len(results)-1]
	if plot != "" {
		err = errors.Join(err, writePlot(plot, last))
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if len(results) == 1 {
		if asJSON {
			return errors.Join(out.Encode(last), err)
		}
		last.Print(os.Stdout)
		return err
	}
	summary, fault := bench.Summarise(results)
	if fault != nil {
		return errors.Join(fault, err)
	}
	if asJSON {
		return errors.Join(out.Encode(summary), err)
	}
	summary.Print(os.Stdout)
	return err
}

func writePlot(path string, result *bench.Result) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(bench.Plot(f, result), f.Close())
}
