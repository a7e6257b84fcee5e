//go:build unix && !aix

package unix_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
)

// childEnv makes the test binary a child: a process that reads commands from its standard input, one on each line, and
// answers each with one line.
const childEnv = "RUDDERPOST_UNIX_CHILD"

// A child is such a process as the test uses it.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader

	killed bool
}

func startChild(t *testing.T, attr *syscall.SysProcAttr) (*child, error) {
	t.Helper()
	exe := "/proc/self/exe" // can be run by users that cannot reach the test binary
	if _, err := os.Stat(exe); err != nil {
		exe = os.Args[0]
	}
	c := &child{cmd: exec.Command(exe)}
	c.cmd.Env = append(os.Environ(), childEnv+"=1", "GORACE=atexit_sleep_ms=0")
	c.cmd.Dir = "/"
	c.cmd.Stderr = t.Output()
	c.cmd.SysProcAttr = attr
	var err error
	c.in, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		_ = c.in.Close()
		if !c.killed {
			require.NoError(t, c.cmd.Wait())
		}
	})
	return c, nil
}

func newChild(t *testing.T) *child {
	t.Helper()
	c, err := startChild(t, nil)
	require.NoError(t, err)
	return c
}

func (c *child) tell(t *testing.T, line string, args ...any) {
	t.Helper()
	_, err := fmt.Fprintf(c.in, line+"\n", args...)
	require.NoError(t, err)
}

func (c *child) answer(t *testing.T) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

func (c *child) ask(t *testing.T, line string, args ...any) string {
	t.Helper()
	c.tell(t, line, args...)
	return c.answer(t)
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	c.killed = true
	require.NoError(t, c.cmd.Process.Kill())
	require.Error(t, c.cmd.Wait())
}

// hello is the frame that a child sends on each conn that it accepts.
func (c *child) hello() string { return fmt.Sprintf(`{"pid":%d}`, c.cmd.Process.Pid) }

// The rest runs in the child.

type served struct {
	l    transport.Listener
	done chan struct{}
}

func runChild() int {
	var s *served
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		word, rest, _ := strings.Cut(in.Text(), " ")
		answer := "ok"
		var err error
		switch word {
		case "umask":
			mask, _ := strconv.ParseInt(rest, 8, 32)
			syscall.Umask(int(mask))
		case "listen": // MODE PATH
			mode, path, _ := strings.Cut(rest, " ")
			s, err = serve(path, mode, "")
		case "listen-group": // GROUP PATH
			group, path, _ := strings.Cut(rest, " ")
			s, err = serve(path, "660", group)
		case "close":
			err = s.close()
		case "dial":
			answer, err = hear(rest)
		case "contend":
			err = contend(rest)
		default:
			answer, err = platformCommand(word, rest)
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			answer = "busy"
		} else if err != nil {
			answer = "error: " + err.Error()
		}
		fmt.Println(answer)
	}
	return 0
}

func serve(path, mode, group string) (*served, error) {
	bits, err := strconv.ParseUint(mode, 8, 32)
	if err != nil {
		return nil, err
	}
	l, err := (&unix.Transport{Path: path, Mode: os.FileMode(bits), Group: group}).Listen(context.Background())
	if err != nil {
		return nil, err
	}
	s := &served{l: l, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			_ = c.Send(context.Background(), fmt.Appendf(nil, `{"pid":%d}`, os.Getpid()))
			_ = c.Close()
		}
	}()
	return s, nil
}

func (s *served) close() error {
	err := s.l.Close()
	<-s.done
	return err
}

func hear(path string) (string, error) {
	c, err := (&unix.Transport{Path: path}).Dial(context.Background())
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	frame, err := c.Receive(context.Background(), nil)
	return string(frame), err
}

// contend becomes the owner of the path n times, as soon as it can, and checks each time that no other process owns it.
func contend(path string) error {
	for range 60 {
		s, err := serve(path, "600", "")
		for errors.Is(err, syscall.EADDRINUSE) {
			s, err = serve(path, "600", "")
		}
		if err != nil {
			return err
		}
		if err := alone(path); err != nil {
			return err
		}
		if err := s.close(); err != nil {
			return err
		}
	}
	return nil
}

func alone(path string) error {
	mark, err := os.OpenFile(path+".owner", os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("two owners: %w", err)
	}
	frame, err := hear(path)
	if err != nil {
		return fmt.Errorf("no process listens on the owner's path: %w", err)
	}
	if want := fmt.Sprintf(`{"pid":%d}`, os.Getpid()); frame != want {
		return fmt.Errorf("the owner's path leads to %s, not to %s", frame, want)
	}
	return errors.Join(mark.Close(), os.Remove(path+".owner"))
}
