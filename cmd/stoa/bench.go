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
}

type benchDirect struct{ bench.Direct }

func (c *benchDirect) Run(ctx context.Context) error {
	c.Progress = os.Stderr
	result, err := c.Direct.Run(ctx)
	if result == nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return errors.Join(out.Encode(result), err)
	}
	result.Print(os.Stdout)
	return err
}
