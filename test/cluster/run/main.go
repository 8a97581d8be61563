// Command run starts a cluster of two nodes, runs a command with the nodes' addresses and the application's credentials
// in its environment, and ends with the command's status; if that is not 0, what the nodes wrote follows on stderr:
//
//	STOA_TEST_POSTGRES=postgres://… go run ./test/cluster/run npm --prefix test/websdk run test:e2e
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/stoa-chat/stoa/test/cluster"
	"github.com/stoa-chat/stoa/test/internal/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	status, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func run(ctx context.Context, command []string) (status int, err error) {
	postgres := os.Getenv("STOA_TEST_POSTGRES")
	if postgres == "" || len(command) == 0 {
		return 0, errors.New("usage: STOA_TEST_POSTGRES=URL run COMMAND [ARGUMENT...]")
	}
	dir, err := os.MkdirTemp("", "stoa-cluster-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	program, err := node.Program(dir)
	if err != nil {
		return 0, err
	}
	// The nodes and the tests agree on where translations come from; a test listens there.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	os.Setenv("STOA_TRANSLATE_URL", "http://"+listener.Addr().String())
	listener.Close()
	c, err := cluster.Start(ctx, program, postgres, 2)
	if err != nil {
		return 0, err
	}
	defer func() {
		for i, n := range c.Nodes {
			if failure := n.Stop(30 * time.Second); failure != nil {
				err = errors.Join(err, fmt.Errorf("node %d: %w; it wrote:\n%s", i, failure, n.Output()))
			}
		}
		err = errors.Join(err, c.Close())
	}()
	// As in `stoa dev`, on which the tests count.
	token, err := c.App.Token(ctx, c.Nodes[0])
	if err != nil {
		return 0, err
	}
	// As of an app of stoa dev, for which the tests are written: it has no limits of rates.
	settings := map[string]any{"open_registration": true,
		"messages_per_second": 0, "rest_per_second": 0, "rest_per_user_second": 0, "failed_logins_per_minute": 0}
	if _, err := c.App.Call(ctx, c.Nodes[0], http.MethodPut, "/settings", token, settings); err != nil {
		return 0, err
	}
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, n.URL)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), "STOA_URLS="+strings.Join(urls, ","), "STOA_APP_KEY="+c.App.Key, "STOA_CLIENT_ID="+c.App.ClientID,
		"STOA_CLIENT_SECRET="+c.App.ClientSecret, "STOA_APP_ID="+c.App.AgoraID, "STOA_APP_CERTIFICATE="+c.App.Certificate)
	err = cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		for i, n := range c.Nodes {
			fmt.Fprintf(os.Stderr, "node %d wrote:\n%s", i, n.Output())
		}
		return max(1, ended.ExitCode()), nil
	}
	return 0, err
}
