package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/stoa-chat/stoa/internal/config"
	"github.com/stoa-chat/stoa/internal/server"
)

// place says where a server that does not run keeps its data; the flags are those of serve.
type place struct {
	Data        string `help:"Folder for the database (with SQLite) and for files." default:"stoa-data" env:"STOA_DATA" type:"path"`
	DatabaseURL string `help:"PostgreSQL to use in place of SQLite: postgres://…" env:"STOA_DATABASE_URL" placeholder:"URL"`
	FilesURL    string `name:"files-url" help:"Where uploaded files are kept, if not in the data folder." env:"STOA_FILES_URL" placeholder:"URL"`
}

func (p place) config() config.Config {
	return config.Config{Data: p.Data, DatabaseURL: p.DatabaseURL, FilesURL: p.FilesURL}
}

// quiet is the log of commands whose errors are their results.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type exportCommand struct {
	App    string `arg:"" help:"The app, as org#app."`
	Output string `arg:"" help:"The archive to write, which must not exist; - is standard output." placeholder:"FILE"`
	place
}

func (c *exportCommand) Run(ctx context.Context) (err error) {
	out := os.Stdout
	if c.Output != "-" {
		if out, err = os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
		defer func() {
			if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
				os.Remove(c.Output) // half an archive is none
			}
		}()
	}
	m, err := server.Export(ctx, c.config(), c.App, out, quiet())
	if err == nil {
		fmt.Fprintf(os.Stderr, "exported %s: %s\n", c.App, m)
	}
	return err
}

type importCommand struct {
	Archive importArchiveCommand `cmd:"" default:"withargs" help:"Take in an app that stoa export has written; the server is stopped."`
	Agora   importAgoraCommand   `cmd:"" help:"Take in what a customer can get out of Agora Chat, into a running server."`
}

type importArchiveCommand struct {
	Input string `arg:"" help:"The archive; - is standard input." placeholder:"FILE"`
	place
}

func (c *importArchiveCommand) Run(ctx context.Context) error {
	var in io.Reader = os.Stdin
	if c.Input != "-" {
		file, err := os.Open(c.Input)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	app, m, err := server.Import(ctx, c.config(), in, quiet())
	if err == nil {
		fmt.Fprintf(os.Stderr, "imported %s: %s\n", app, m)
	}
	return err
}
