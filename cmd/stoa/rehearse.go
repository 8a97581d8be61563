package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/stoa-chat/stoa/admin"
	"github.com/stoa-chat/stoa/errcode"
)

type rehearseCommand struct {
	What string `arg:"" optional:"" help:"A code or its name, as 504, or a fault: latency, loss, lost-answers, duplicates, storm." placeholder:"CODE"`
	backend
	User    string        `name:"user" help:"Who is to meet it."`
	For     string        `name:"for" help:"How often (1), how long (5m), or until-off. A code is met once by default." placeholder:"HOW"`
	After   time.Duration `name:"after" help:"How long to wait before it begins."`
	Delay   time.Duration `name:"delay" help:"With latency: how long each request is held up; with storm: the time between two losses."`
	List    bool          `name:"list" help:"Show the rehearsals that are not over."`
	Stop    string        `name:"stop" help:"End a rehearsal by its id, or all." placeholder:"ID"`
	Advance time.Duration `name:"advance" help:"Move the server's clock forward; it never goes back."`
	JSON    bool          `name:"json" help:"Print as JSON."`
}

// Validate is called by kong.
func (c *rehearseCommand) Validate() error {
	asked := 0
	for _, given := range []bool{c.What != "", c.List, c.Stop != "", c.Advance != 0} {
		if given {
			asked++
		}
	}
	switch {
	case asked != 1:
		return errors.New("give a code or fault, or one of --list, --stop and --advance")
	case c.What != "" && c.User == "":
		return errors.New("--user says who is to meet it")
	}
	return nil
}

func (c *rehearseCommand) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	switch {
	case c.List:
		list, err := client.Rehearsals(ctx)
		if err != nil {
			return err
		}
		return c.print(list)
	case c.Stop != "":
		if c.Stop == "all" {
			c.Stop = ""
		}
		return client.StopRehearsal(ctx, c.Stop)
	case c.Advance != 0:
		return client.AdvanceClock(ctx, c.Advance)
	}
	request := admin.RehearsalRequest{User: c.User, For: c.For, After: c.After, Delay: c.Delay}
	if entry, ok := errcode.Find(c.What); ok {
		request.Code = entry.Code
	} else if number, err := strconv.Atoi(c.What); err == nil {
		request.Code = errcode.Code(number) // the server says what is wrong with it
	} else {
		request.Fault = c.What
	}
	started, err := client.Rehearse(ctx, request)
	if err != nil {
		return err
	}
	return c.print([]admin.Rehearsal{started})
}

func (c *rehearseCommand) print(list []admin.Rehearsal) error {
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(list)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tUSER\tWHAT\tBEGINS\tENDS\tMET")
	for _, r := range list {
		what, ends := r.Fault, "when stopped"
		if what == "" {
			what = fmt.Sprintf("%d %s", r.Code, r.Code)
		}
		switch {
		case r.Times > 0:
			ends = fmt.Sprintf("after %d", r.Times)
		case !r.Ends.IsZero():
			ends = r.Ends.Format(time.TimeOnly)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\n", r.ID, r.User, what, r.Begins.Format(time.TimeOnly), ends, r.Met)
	}
	return table.Flush()
}
