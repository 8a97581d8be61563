// Command stoa is the chat server and its tools. Run `stoa --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/stoa-chat/stoa/errcode"
)

type commands struct {
	Dev    devCommand    `cmd:"" help:"Run a server for development and CI: known credentials, throwaway data."`
	Serve  serveCommand  `cmd:"" help:"Run a server for real use."`
	App    appCommand    `cmd:"" help:"Show or change the settings of an app."`
	Errors errorsCommand `cmd:"" help:"List the error codes, or explain one."`

	Rehearse rehearseCommand `cmd:"" help:"Make a running server produce an error for one user."`

	Export exportCommand `cmd:"" help:"Write an app with all that belongs to it into an archive."`
	Import importCommand `cmd:"" help:"Take in an app: from an archive, or from Agora Chat."`

	Bench   benchCommand   `cmd:"" help:"Measure a running server."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

func main() { os.Exit(run()) }

// run returns the exit status: 0, 1 when a command failed, 2 when the command line is wrong.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	parser, err := kong.New(&c, kong.Name("stoa"), kong.Description("Open, self-hosted chat server for apps written against the Agora Chat SDKs."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "stoa:", err)
		return 2
	}
	parsed, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "stoa: %v\nRun 'stoa --help' for the commands and their flags.\n", err)
		return 2
	}
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "stoa:", err)
		return 1
	}
	return 0
}

type errorsCommand struct {
	Query string `arg:"" optional:"" help:"A number or a name, such as 221 or USER_NOT_FRIEND." placeholder:"CODE"`
	JSON  bool   `name:"json" help:"Print the catalogue's entry as JSON."`
	Check string `name:"check" help:"Find the codes in a log and explain them; - reads standard input." placeholder:"LOG"`
}

func (c *errorsCommand) Run() error {
	switch c.Check {
	case "":
		return errcode.Command(os.Stdout, c.Query, c.JSON)
	case "-":
		return errcode.Check(os.Stdin, os.Stdout)
	}
	log, err := os.Open(c.Check)
	if err != nil {
		return err
	}
	defer log.Close()
	return errcode.Check(log, os.Stdout)
}

type versionCommand struct{}

func (versionCommand) Run() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("the binary holds no build information")
	}
	version := info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			version += " " + setting.Value
		}
	}
	_, err := fmt.Println("stoa", version, info.GoVersion)
	return err
}
