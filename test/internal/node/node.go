// Package node runs the server's program for tests: start, stop, kill, and a few calls of its REST interface.
package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTime is how long a node may need until it serves.
const startTime = 30 * time.Second

// Program returns the program to run: STOA_BIN, or else bin/stoa of this repository, or else one that is built into dir.
func Program(dir string) (string, error) {
	if program := os.Getenv("STOA_BIN"); program != "" {
		return filepath.Abs(program)
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find repository: %w", err)
	}
	program := filepath.Join(strings.TrimSpace(string(root)), "bin", "stoa")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	program = filepath.Join(dir, "stoa")
	if text, err := exec.Command("go", "build", "-o", program, "github.com/stoa-chat/stoa/cmd/stoa").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build stoa: %w\n%s", err, text)
	}
	return program, nil
}

// Node is a running server.
type Node struct {
	URL string // of REST and, with /ws, of the socket

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and all that it wrote has been read
	mu   sync.Mutex
	said bytes.Buffer
}

var restAddress = regexp.MustCompile(`^REST\s+(https?://\S+)`)

// Start runs the program and returns when it serves. env is added to the environment.
func Start(program string, env []string, args ...string) (*Node, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	output, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = input, input
	err = cmd.Start()
	input.Close()
	if err != nil {
		output.Close()
		return nil, fmt.Errorf("start node: %w", err)
	}
	n := &Node{cmd: cmd, done: make(chan struct{})}
	address := make(chan string, 1)
	go n.read(output, address)
	select {
	case n.URL = <-address:
		return n, nil
	case <-n.done:
		return nil, fmt.Errorf("the node ended before it served; it wrote:\n%s", n.Output())
	case <-time.After(startTime):
		n.Kill()
		return nil, fmt.Errorf("the node did not serve within %v; it wrote:\n%s", startTime, n.Output())
	}
}

func (n *Node) read(output *os.File, address chan<- string) {
	defer close(n.done)
	defer output.Close()
	lines := bufio.NewReader(output)
	for told := false; ; {
		line, err := lines.ReadString('\n')
		n.mu.Lock()
		n.said.WriteString(line)
		n.mu.Unlock()
		if found := restAddress.FindStringSubmatch(line); found != nil && !told {
			told = true
			address <- found[1]
		}
		if err != nil {
			break
		}
	}
	n.cmd.Wait() // its outcome stands in cmd.ProcessState
}

// Output returns what the node has written so far.
func (n *Node) Output() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.said.String()
}

// Socket returns the address of the socket.
func (n *Node) Socket() string { return "ws" + strings.TrimPrefix(n.URL, "http") + "/ws" }

// Alive reports whether the node still runs.
func (n *Node) Alive() bool {
	select {
	case <-n.done:
		return false
	default:
		return true
	}
}

// Kill ends the node as a power cut would, and waits for it.
func (n *Node) Kill() {
	n.cmd.Process.Kill()
	<-n.done
}

// Stop asks the node to end. The error says that it did not within the time, or with another status than 0.
func (n *Node) Stop(within time.Duration) error {
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop node: %w", err)
	}
	select {
	case <-n.done:
	case <-time.After(within):
		n.Kill()
		return fmt.Errorf("the node did not stop within %v", within)
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the node stopped with status %d", code)
	}
	return nil
}

// App is an application and its credentials. Its methods call REST.
type App struct {
	Key, ClientID, ClientSecret, AgoraID, Certificate string
}

// DevApp is what `stoa dev` makes; the constants of package server, which tests of the program see from outside.
var DevApp = App{
	Key: "stoa#demo", ClientID: "stoa-demo-id", ClientSecret: "stoa-demo-secret",
	AgoraID: "570a0000000000000000000000000de0", Certificate: "570a0000000000000000000000c0ffee",
}

var credential = regexp.MustCompile(`(?m)^(App key|Client ID|Client secret|App ID|App certificate) +(\S+)$`)

// ParseApp finds the credentials in what a node printed at the first start; false if it did not.
func ParseApp(output string) (a App, ok bool) {
	fields := map[string]*string{"App key": &a.Key, "Client ID": &a.ClientID, "Client secret": &a.ClientSecret,
		"App ID": &a.AgoraID, "App certificate": &a.Certificate}
	for _, found := range credential.FindAllStringSubmatch(output, -1) {
		if field := fields[found[1]]; field != nil {
			*field = found[2]
			delete(fields, found[1])
		}
	}
	return a, len(fields) == 0
}

// Call makes a REST call on the node and decodes the answer; any other status than 200 is an error.
func (a App) Call(ctx context.Context, n *Node, method, path, token string, body any) (map[string]any, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, n.URL+"/"+strings.Replace(a.Key, "#", "/", 1)+path, content)
	if err != nil {
		return nil, err
	}
	request.Close = true // no idle connection outlives the test
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, text)
	}
	var answer map[string]any
	return answer, json.Unmarshal(text, &answer)
}

// Token returns an app token.
func (a App) Token(ctx context.Context, n *Node) (string, error) {
	return a.token(ctx, n, "", map[string]any{"grant_type": "client_credentials", "client_id": a.ClientID, "client_secret": a.ClientSecret})
}

// UserToken returns a token for a user, who is made if there is none. It needs an app token.
func (a App) UserToken(ctx context.Context, n *Node, appToken, user string) (string, error) {
	return a.token(ctx, n, appToken, map[string]any{"grant_type": "inherit", "username": user, "autoCreateUser": true})
}

func (a App) token(ctx context.Context, n *Node, proof string, grant any) (string, error) {
	answer, err := a.Call(ctx, n, http.MethodPost, "/token", proof, grant)
	if err != nil {
		return "", err
	}
	token, _ := answer["access_token"].(string)
	if token == "" {
		return "", fmt.Errorf("no token in %v", answer)
	}
	return token, nil
}
