//go:build linux

package fifo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rudderpost/rudderpost/transport"
)

const someName = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// A testListener has a listener, and the means of a hostile client.
type testListener struct {
	*testing.T
	transport *Transport
	l         *listener
	refused   chan error
	held      []*os.File
}

func newTestListener(t *testing.T) *testListener {
	d := &testListener{T: t, transport: &Transport{Dir: newDir(t, 0o1733)}, refused: make(chan error, 8)}
	d.transport.OnRefused = func(r transport.Refusal) { d.refused <- r.Err }
	l, err := d.transport.listen(t.Context())
	d.check(err)
	d.l = l
	t.Cleanup(func() {
		d.check(l.Close())
		for _, f := range d.held {
			_ = f.Close()
		}
	})
	return d
}

func (d *testListener) check(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// fifo makes a FIFO of a client, holds it open, and writes a text into it.
func (d *testListener) fifo(suffix string, mode uint32, said string) *os.File {
	d.Helper()
	f, _, err := makeFIFO(d.l.dir, someName+suffix, mode, -1)
	d.check(err)
	d.held = append(d.held, f)
	_, err = f.WriteString(said)
	d.check(err)
	return f
}

func (d *testListener) path(name string) string { return filepath.Join(d.transport.Dir, name) }

func (d *testListener) writeName(text string) {
	d.Helper()
	f, err := os.OpenFile(d.path(connectName), os.O_WRONLY, 0)
	d.check(err)
	defer f.Close()
	_, err = f.WriteString(text)
	d.check(err)
}

// serves requires that the listener accepts a correct client, and receives its frame.
func (d *testListener) serves() {
	d.Helper()
	c, err := d.transport.Dial(d.Context())
	d.check(err)
	defer c.Close()
	d.check(c.Send(d.Context(), []byte("{}")))
	a, err := d.l.Accept(d.Context())
	d.check(err)
	defer a.Close()
	if f, err := a.Receive(d.Context(), nil); string(f) != "{}" || err != nil {
		d.Fatalf("Receive: %q, %v", f, err)
	}
}

func TestInvalidClientsAreRefused(t *testing.T) {
	for what, test := range map[string]struct {
		make func(d *testListener)
		want string
	}{
		"nothing there": {func(*testListener) {}, "no such file"},
		"one of two":    {func(d *testListener) { d.fifo(up, 0o600, d.l.greeting) }, "no such file"},
		"a symbolic link": {func(d *testListener) {
			d.check(os.Symlink("/etc/passwd", d.path(someName+up)))
			d.fifo(down, 0o600, "")
		}, "too many levels"},
		"a file": {func(d *testListener) {
			d.check(os.WriteFile(d.path(someName+up), []byte(d.l.greeting), 0o600))
			d.fifo(down, 0o600, "")
		}, "not a FIFO"},
		"a directory": {func(d *testListener) { d.check(os.Mkdir(d.path(someName+up), 0o700)) }, "not a FIFO"},
		"two names": {func(d *testListener) {
			d.fifo(up, 0o600, d.l.greeting)
			d.fifo(down, 0o600, "")
			d.check(os.Link(d.path(someName+up), d.path("other")))
		}, "not a FIFO"},
		"one FIFO for both": {func(d *testListener) {
			d.fifo(up, 0o600, d.l.greeting)
			d.check(os.Link(d.path(someName+up), d.path(someName+down)))
		}, "not a FIFO"},
		"others may write": {func(d *testListener) {
			d.fifo(up, 0o602, d.l.greeting)
			d.fifo(down, 0o600, "")
		}, "others than user"},
		"the group may write": {func(d *testListener) {
			d.fifo(up, 0o620, d.l.greeting)
			d.fifo(down, 0o600, "")
		}, "others than user"},
		"others may read": {func(d *testListener) {
			d.fifo(up, 0o600, d.l.greeting)
			d.fifo(down, 0o644, "")
		}, "others than user"},
		"no greeting": {func(d *testListener) {
			d.fifo(up, 0o600, "")
			d.fifo(down, 0o600, "")
		}, "has not greeted"},
		"half a greeting": {func(d *testListener) {
			d.fifo(up, 0o600, d.l.greeting[:10])
			d.fifo(down, 0o600, "")
		}, "has not greeted"},
		"a greeting for another": {func(d *testListener) {
			other := newTestListener(d.T)
			d.fifo(up, 0o600, other.l.greeting)
			d.fifo(down, 0o600, "")
		}, "has not greeted"},
		"no reader": {func(d *testListener) {
			d.fifo(up, 0o600, d.l.greeting)
			d.check(d.fifo(down, 0o600, "").Close())
		}, "no such device"},
		"no writer": {func(d *testListener) {
			d.check(d.fifo(up, 0o600, d.l.greeting).Close())
			d.fifo(down, 0o600, "")
		}, "has not greeted"},
		"no room for an answer": {func(d *testListener) {
			d.fifo(up, 0o600, d.l.greeting)
			n, err := unix.FcntlInt(d.fifo(down, 0o600, "").Fd(), unix.F_GETPIPE_SZ, 0)
			d.check(err)
			_, err = d.held[1].WriteString(strings.Repeat("x", n))
			d.check(err)
		}, "resource temporarily unavailable"},
		"two users": {func(d *testListener) {
			d.fifo(up, 0o600, d.l.greeting)
			d.fifo(down, 0o600, "")
			if err := os.Chown(d.path(someName+up), 12345, -1); err != nil {
				d.Skip("only root can play two users")
			}
		}, "belong to two users"},
	} {
		t.Run(what, func(t *testing.T) {
			d := newTestListener(t)
			test.make(d)
			d.writeName("\n" + someName + "\n")
			if err := <-d.refused; !strings.Contains(err.Error(), test.want) {
				t.Errorf("refused with %q, want %q", err, test.want)
			}
			d.serves()
		})
	}
}

func TestInvalidNamesAreRefused(t *testing.T) {
	for _, line := range []string{
		"x", "../../../../etc/passwd", "connect", "\x00", strings.Repeat("/", nameLen),
		someName + "0", "./" + someName[2:], strings.Repeat("0", 5000),
	} {
		d := newTestListener(t)
		d.writeName(line + "\n")
		if err := <-d.refused; !strings.Contains(err.Error(), "is no path") {
			t.Errorf("%.40q: %v", line, err)
		}
		d.writeName(line) // without a line feed, which the next client writes
		d.serves()
	}
}

// A refused name is not removed: another user that has learned the name of a client cannot end its handshake.
func TestRefusedNameCanStillConnect(t *testing.T) {
	d := newTestListener(t)
	client := d.fifo(up, 0o600, "")
	answer := d.fifo(down, 0o600, "")
	d.writeName("\n" + someName + "\n")
	<-d.refused
	_, err := client.WriteString(d.l.greeting)
	d.check(err)
	d.writeName("\n" + someName + "\n")
	var line [1]byte
	if _, err := answer.Read(line[:]); err != nil || line[0] != '\n' {
		t.Fatal(line, err)
	}
	c, err := d.l.Accept(t.Context())
	d.check(err)
	d.check(c.Close())
	d.writeName("\n" + someName + "\n") // the name is removed now
	if err := <-d.refused; !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// A conn, a dial without an answer and a closed listener leave no files in the directory.
func TestNoFilesAreLeft(t *testing.T) {
	d := newTestListener(t)
	left := func(want int) {
		t.Helper()
		if names, err := os.ReadDir(d.transport.Dir); err != nil || len(names) != want {
			t.Fatalf("the directory holds %v (%v), want %d", names, err, want)
		}
	}
	d.serves()
	left(1)
	d.check(d.l.Close())
	left(0)
	silent, _, err := makeFIFO(d.l.dirAgain(t), connectName, 0o600, -1) // a daemon that does not answer
	d.check(err)
	defer silent.Close()
	done := make(chan error, 1)
	ctx, cancel := contextWithCause(t)
	go func() {
		_, err := d.transport.Dial(ctx)
		done <- err
	}()
	if _, err := silent.Read(make([]byte, 1)); err != nil { // the client has written its name
		t.Fatal(err)
	}
	cancel(errEnough)
	if err := <-done; !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	left(1)
}

func TestListenRefusesOtherModesAndUsers(t *testing.T) {
	for mode := range uint32(0o2000) {
		if mode == 0o700 || mode == 0o1730 || mode == 0o1733 || mode&0o700 != 0o700 {
			continue
		}
		tr := &Transport{Dir: newDir(t, mode)}
		if _, err := tr.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%04o", mode)) {
			t.Fatalf("mode %04o: %v", mode, err)
		}
		if _, err := tr.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%04o", mode)) {
			t.Fatalf("mode %04o: %v", mode, err)
		}
	}
	if _, err := (&Transport{Dir: "/nowhere"}).Listen(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	d := newTestListener(t)
	if _, err := d.transport.Listen(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatal(err)
	}
	d.serves()
	if os.Geteuid() == 0 {
		tr := &Transport{Dir: newDir(t, 0o700)}
		d.check(os.Chown(tr.Dir, 12345, -1))
		if _, err := tr.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
			t.Fatal(err)
		}
	}
}

// If a killed daemon has left its FIFO, Dial says so, and the next daemon replaces it.
func TestFIFOOfAKilledDaemonIsReplaced(t *testing.T) {
	tr := &Transport{Dir: newDir(t, 0o700)}
	if err := syscall.Mkfifo(filepath.Join(tr.Dir, connectName), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Dial(t.Context()); !errors.Is(err, syscall.ENXIO) || !strings.Contains(err.Error(), "start it again") {
		t.Fatal(err)
	}
	l, err := tr.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := tr.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// A client refuses a FIFO "connect" of another user than the owner of the directory.
func TestClientRefusesConnectOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can play two users")
	}
	tr := &Transport{Dir: newDir(t, 0o1733)}
	path := filepath.Join(tr.Dir, connectName)
	if err := errors.Join(syscall.Mkfifo(path, 0o666), os.Chown(path, 12345, -1)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := tr.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), "this is not the daemon") {
		t.Fatal(err)
	}
}
