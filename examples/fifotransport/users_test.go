//go:build linux

package fifo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rudderpost/rudderpost/transport"
)

var errEnough = errors.New("enough")

func contextWithCause(t *testing.T) (context.Context, context.CancelCauseFunc) {
	return context.WithCancelCause(t.Context())
}

// dirAgain opens the directory of a listener, also of a closed one.
func (l *listener) dirAgain(t *testing.T) *os.File {
	t.Helper()
	dir, _, err := openDir(l.transport.Dir, unix.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

// If these variables are in its environment, the test program is the peer of a test, as another user.
const roleEnv, dirEnv = "FIFO_TEST_ROLE", "FIFO_TEST_DIR"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := play(role, &Transport{Dir: os.Getenv(dirEnv)}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// play is one side of an exchange of two frames. It prints the peer.
func play(role string, tr *Transport) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if role == "dial" {
		c, err := tr.Dial(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.Send(ctx, []byte("{}")); err != nil {
			return err
		}
		if _, err := c.Receive(ctx, nil); err != nil {
			return err
		}
		fmt.Println(c.Peer())
		return nil
	}
	l, err := tr.Listen(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println("listening")
	peer, err := serveOne(ctx, l)
	fmt.Println(peer)
	return err
}

func serveOne(ctx context.Context, l transport.Listener) (transport.Peer, error) {
	c, err := l.Accept(ctx)
	if err != nil {
		return transport.Peer{}, err
	}
	defer c.Close()
	if _, err := c.Receive(ctx, nil); err != nil {
		return transport.Peer{}, err
	}
	return c.Peer(), c.Send(ctx, []byte("{}"))
}

const otherUser, group = 54321, 54322

// another starts the test program as otherUser.
func another(t *testing.T, role, dir string, gids ...uint32) (lines *bufio.Reader, wait func() error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can play two users")
	}
	cmd := exec.Command("/proc/self/exe") // the user cannot reach the program by its path
	cmd.Env = append(os.Environ(), roleEnv+"="+role, dirEnv+"="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.Dir, cmd.Stderr = "/", t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: otherUser, Gid: otherUser, Groups: gids}}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(out), cmd.Wait
}

func want(t *testing.T, lines *bufio.Reader, prefix string) {
	t.Helper()
	if line, _ := lines.ReadString('\n'); !strings.HasPrefix(line, prefix) {
		t.Fatalf("the other process printed %q, want %q", line, prefix)
	}
}

func TestOtherUserThatDialsIsTheCredential(t *testing.T) {
	tr := &Transport{Dir: newDir(t, 0o1733)}
	l, err := tr.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lines, wait := another(t, "dial", tr.Dir)
	peer, err := serveOne(t.Context(), l)
	if err != nil || peer.String() != fmt.Sprintf("uid:%d", otherUser) {
		t.Fatalf("the peer is %s, %v", peer, err)
	}
	want(t, lines, "uid:0\n")
	if err := wait(); err != nil {
		t.Fatal(err)
	}
}

func TestOtherUserThatListensIsTheCredential(t *testing.T) {
	tr := &Transport{Dir: newDir(t, 0o1733)}
	if err := os.Chown(tr.Dir, otherUser, -1); err != nil {
		t.Skip("only root can play two users")
	}
	lines, wait := another(t, "listen", tr.Dir)
	want(t, lines, "listening\n")
	c, err := tr.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	want(t, lines, "uid:0\n")
	if _, err := c.Receive(t.Context(), nil); err != nil || c.Peer().String() != fmt.Sprintf("uid:%d", otherUser) {
		t.Fatalf("the peer is %s, %v", c.Peer(), err)
	}
	if err := wait(); err != nil {
		t.Fatal(err)
	}
}

// A user that the mode of the directory excludes cannot connect.
func TestModeOfTheDirectoryLimitsClients(t *testing.T) {
	for mode, groups := range map[uint32][]uint32{0o700: nil, 0o1730: nil} {
		tr := &Transport{Dir: newDir(t, mode)}
		if err := os.Chown(tr.Dir, -1, group); err != nil {
			t.Skip("only root can play two users")
		}
		l, err := tr.Listen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lines, wait := another(t, "dial", tr.Dir, groups...)
		want(t, lines, "dial fifo "+tr.Dir+": open connect: permission denied; the directory's mode")
		_ = wait()
		_ = l.Close()
	}
	tr := &Transport{Dir: newDir(t, 0o1730)}
	if err := os.Chown(tr.Dir, -1, group); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tr.Dir, 0o730|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	l, err := tr.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lines, wait := another(t, "dial", tr.Dir, group)
	if peer, err := serveOne(t.Context(), l); err != nil || peer.String() != fmt.Sprintf("uid:%d", otherUser) {
		t.Fatalf("the peer is %s, %v", peer, err)
	}
	want(t, lines, "uid:0\n")
	if err := wait(); err != nil {
		t.Fatal(err)
	}
}
