// Package cluster runs nodes of the server's program that share a PostgreSQL database and a NATS server, for tests.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sync/errgroup"

	"github.com/stoa-chat/stoa/test/internal/node"
)

// Cluster is several nodes and what they share. Its methods are for one goroutine.
type Cluster struct {
	App   node.App // what the first start made
	Nodes []*node.Node

	program  string
	postgres string // the server in which the database was made
	name     string // of the database
	database string // its URL
	folder   string // of uploaded files, if there is no S3 server
	files    string // URL of where they are
	bus      *server.Server
	busAt    atomic.Pointer[string] // host:port of the bus
	ways     []*Way                 // from each node to the bus
}

var databases atomic.Int64

// Start makes an empty database in the PostgreSQL server, a bus, and starts the nodes all at once. The key of the
// application is stoa#demo.
func Start(ctx context.Context, program, postgres string, nodes int) (c *Cluster, err error) {
	c = &Cluster{program: program, postgres: postgres, name: fmt.Sprintf("cluster_%d_%d", os.Getpid(), databases.Add(1))}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if err := c.placeFiles(); err != nil {
		return c, err
	}
	if err := c.sql(ctx, "CREATE DATABASE "+c.name); err != nil {
		return c, err
	}
	link, err := url.Parse(postgres)
	if err != nil {
		return c, err
	}
	link.Path = "/" + c.name
	c.database = link.String()
	if err := c.StartBus(); err != nil {
		return c, err
	}
	for range nodes {
		way, err := NewWay(func() string { return *c.busAt.Load() })
		if err != nil {
			return c, err
		}
		c.ways = append(c.ways, way)
	}
	c.Nodes = make([]*node.Node, nodes)
	var starting errgroup.Group
	for i := range nodes {
		starting.Go(func() error { return c.StartNode(i) })
	}
	if err := starting.Wait(); err != nil {
		return c, err
	}
	for _, n := range c.Nodes {
		if app, ok := node.ParseApp(n.Output()); ok {
			if c.App.Key != "" {
				return c, errors.New("two nodes have each made an application")
			}
			c.App = app
		}
	}
	if c.App.Key == "" {
		return c, errors.New("no node has made an application")
	}
	return c, nil
}

// placeFiles says where the nodes keep files: in the S3 server of the tests, whose URL STOA_TEST_S3 holds, or else in a
// folder.
func (c *Cluster) placeFiles() (err error) {
	if bucket, query, ok := strings.Cut(os.Getenv("STOA_TEST_S3"), "?"); ok {
		c.files = bucket + "/" + c.name + "?" + query
		return nil
	}
	c.folder, err = os.MkdirTemp("", "stoa-files-")
	c.files = "file://" + c.folder
	return err
}

// StartNode starts a node that does not run.
func (c *Cluster) StartNode(i int) (err error) {
	c.Nodes[i], err = node.Start(c.program, []string{"STOA_DATABASE_URL=" + c.database, "STOA_NATS_URL=nats://" + c.ways[i].Address(), "STOA_FILES_URL=" + c.files},
		"serve", "--app", "stoa#demo", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-format", "text", "--rehearsal")
	return err
}

// StartBus starts the NATS server, or starts it again.
func (c *Cluster) StartBus() error {
	bus, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		return fmt.Errorf("make NATS server: %w", err)
	}
	bus.Start()
	if !bus.ReadyForConnections(10 * time.Second) {
		bus.Shutdown()
		return errors.New("the NATS server does not start")
	}
	address := bus.Addr().String()
	c.bus = bus
	c.busAt.Store(&address)
	return nil
}

// StopBus stops the NATS server. What it had not delivered is lost.
func (c *Cluster) StopBus() {
	c.bus.Shutdown()
	c.bus.WaitForShutdown()
}

// CutBus cuts one node off the bus until HealBus.
func (c *Cluster) CutBus(i int)  { c.ways[i].Cut() }
func (c *Cluster) HealBus(i int) { c.ways[i].Heal() }

// Close kills the nodes that still run and removes the database and the files.
func (c *Cluster) Close() error {
	for _, n := range c.Nodes {
		if n != nil {
			n.Kill()
		}
	}
	for _, way := range c.ways {
		way.Close()
	}
	if c.bus != nil {
		c.StopBus()
	}
	return errors.Join(c.sql(context.Background(), "DROP DATABASE IF EXISTS "+c.name+" WITH (FORCE)"), os.RemoveAll(c.folder))
}

func (c *Cluster) sql(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.postgres)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", strings.ToLower(statement), err)
	}
	return nil
}
