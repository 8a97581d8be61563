package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"github.com/stoa-chat/stoa/internal/bench"
)

type benchCommand struct {
	Direct benchDirect `cmd:"" help:"Closed loop between pairs of users: durable one-to-one messages."`
	Group  benchGroup  `cmd:"" help:"Closed loop in a group: every message must reach every member."`
	Room   benchRoom   `cmd:"" help:"Closed loop in a chatroom that everybody has entered."`
}

type (
	benchDirect struct{ bench.Direct }
	benchGroup  struct{ bench.Group }
	benchRoom   struct{ bench.Room }
)

func (c *benchDirect) Run(ctx context.Context) error { return measure(ctx, &c.Load, c.Direct.Run) }
func (c *benchGroup) Run(ctx context.Context) error  { return measure(ctx, &c.Load, c.Group.Run) }
func (c *benchRoom) Run(ctx context.Context) error   { return measure(ctx, &c.Load, c.Room.Run) }

// measure runs a workload and prints its result.
func measure(ctx context.Context, load *bench.Load, run func(context.Context) (*bench.Result, error)) error {
	load.Progress = os.Stderr
	result, err := run(ctx)
	if result == nil {
		return err
	}
	if load.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return errors.Join(out.Encode(result), err)
	}
	result.Print(os.Stdout)
	return err
}
