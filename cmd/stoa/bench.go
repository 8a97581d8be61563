package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stoa-chat/stoa/internal/bench"
	"github.com/stoa-chat/stoa/internal/config"
	"github.com/stoa-chat/stoa/internal/seed"
	"github.com/stoa-chat/stoa/internal/server"
)

type benchCommand struct {
	Direct    benchDirect    `cmd:"" help:"Closed loop between pairs of users: durable one-to-one messages."`
	Open      benchOpen      `cmd:"" help:"The same on a schedule: times count from when a message was due."`
	Group     benchGroup     `cmd:"" help:"Closed loop in a group: every message must reach every member."`
	Room      benchRoom      `cmd:"" help:"Closed loop in a chatroom that everybody has entered."`
	Idle      benchIdle      `cmd:"" help:"Users who are online and do nothing: memory for each."`
	Logins    benchLogins    `cmd:"" help:"Users who sign in by token."`
	Catchup   benchCatchUp   `cmd:"" help:"A user who comes back to messages that wait."`
	Start     benchStart     `cmd:"" help:"From exec to the first accepted login."`
	Overload  benchOverload  `cmd:"" help:"Twice what the server can take, with receivers who do not read; and whether it recovers."`
	Reconnect benchReconnect `cmd:"" help:"Users who lose their sockets and come back, all at once."`
	Seed      seedCommand    `cmd:"" help:"Fill a server's database with users and messages, to measure what grows with them."`
}

type (
	benchDirect    struct{ bench.Direct }
	benchOpen      struct{ bench.Open }
	benchGroup     struct{ bench.Group }
	benchRoom      struct{ bench.Room }
	benchIdle      struct{ bench.Rest }
	benchLogins    struct{ bench.Logins }
	benchCatchUp   struct{ bench.CatchUp }
	benchStart     struct{ bench.Start }
	benchOverload  struct{ bench.Overload }
	benchReconnect struct{ bench.Reconnect }
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
func (c *benchOverload) Run(ctx context.Context) error {
	return measureLoad(ctx, &c.Load, c.Overload.Run)
}
func (c *benchReconnect) Run(ctx context.Context) error {
	return measureLoad(ctx, &c.Load, c.Reconnect.Run)
}
func (c *benchStart) Run(ctx context.Context) error {
	return measure(ctx, c.Repeat, c.JSON, "", c.Start.Run)
}

// seedCommand works on the database itself: over REST it would take days.
type seedCommand struct {
	Data        string `name:"data" help:"The server's data folder; the server must be stopped." default:"stoa-data" env:"STOA_DATA" type:"path"`
	DatabaseURL string `name:"database-url" help:"PostgreSQL to use in place of SQLite: postgres://…" env:"STOA_DATABASE_URL" placeholder:"URL"`
	App         string `name:"app" help:"The app, as org#app; the first start of the server makes it." default:"stoa#demo" env:"STOA_APP"`
	Users       int    `name:"users" help:"Users to make." default:"1000000"`
	Messages    int    `name:"messages" help:"Messages to make." default:"10000000"`
	Body        int    `name:"body" help:"Bytes of text in a message." default:"200"`
}

// Validate reports what is wrong with the settings. Kong calls it.
func (c *seedCommand) Validate() error {
	if c.Users < 2 || c.Messages < 0 || c.Body < 0 {
		return errors.New("users must be at least 2, messages and body at least 0")
	}
	return nil
}

func (c *seedCommand) Run(ctx context.Context) error {
	began := time.Now()
	told := ""
	progress := func(what string, made, of int) {
		if told != what && told != "" {
			fmt.Fprintln(os.Stderr)
		}
		told = what
		fmt.Fprintf(os.Stderr, "\r%6.0f s  %s: %d of %d ", time.Since(began).Seconds(), what, min(made, of), of)
	}
	settings := config.Config{Data: c.Data, DatabaseURL: c.DatabaseURL, LogLevel: "warn", LogFormat: "text"}
	prefix, err := server.Seed(ctx, settings, c.App, seed.Plan{Users: c.Users, Messages: c.Messages, Body: c.Body, Progress: progress}, settings.Logger())
	if told != "" {
		fmt.Fprintln(os.Stderr)
	}
	if err != nil {
		return err
	}
	fmt.Printf("%d users, %s0 and so on, and %d messages in %.0f s\n", c.Users, prefix, c.Messages, time.Since(began).Seconds())
	return nil
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
