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

// A door is a listener and what a hostile client needs.
type door struct {
	*testing.T
	place   *Transport
	l       *listener
	refused chan error
	held    []*os.File
}

func newDoor(t *testing.T) *door {
	d := &door{T: t, place: &Transport{Dir: newDir(t, 0o1733)}, refused: make(chan error, 8)}
	d.place.OnRefused = func(r transport.Refusal) { d.refused <- r.Err }
	l, err := d.place.listen(t.Context())
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

func (d *door) check(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// fifo makes a FIFO of a client, holds it open, and says something in it.
func (d *door) fifo(suffix string, mode uint32, said string) *os.File {
	d.Helper()
	f, _, err := makeFIFO(d.l.dir, someName+suffix, mode, -1)
	d.check(err)
	d.held = append(d.held, f)
	_, err = f.WriteString(said)
	d.check(err)
	return f
}

func (d *door) path(name string) string { return filepath.Join(d.place.Dir, name) }

func (d *door) knock(text string) {
	d.Helper()
	f, err := os.OpenFile(d.path(knock), os.O_WRONLY, 0)
	d.check(err)
	defer f.Close()
	_, err = f.WriteString(text)
	d.check(err)
}

// serves sees that a good client is let in and understood.
func (d *door) serves() {
	d.Helper()
	c, err := d.place.Dial(d.Context())
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

func TestRefused(t *testing.T) {
	for what, test := range map[string]struct {
		make func(d *door)
		want string
	}{
		"nothing there": {func(*door) {}, "no such file"},
		"one of two":    {func(d *door) { d.fifo(up, 0o600, d.l.welcome) }, "no such file"},
		"a symbolic link": {func(d *door) {
			d.check(os.Symlink("/etc/passwd", d.path(someName+up)))
			d.fifo(down, 0o600, "")
		}, "too many levels"},
		"a file": {func(d *door) {
			d.check(os.WriteFile(d.path(someName+up), []byte(d.l.welcome), 0o600))
			d.fifo(down, 0o600, "")
		}, "not a FIFO"},
		"a directory": {func(d *door) { d.check(os.Mkdir(d.path(someName+up), 0o700)) }, "not a FIFO"},
		"two names": {func(d *door) {
			d.fifo(up, 0o600, d.l.welcome)
			d.fifo(down, 0o600, "")
			d.check(os.Link(d.path(someName+up), d.path("other")))
		}, "not a FIFO"},
		"one FIFO for both": {func(d *door) {
			d.fifo(up, 0o600, d.l.welcome)
			d.check(os.Link(d.path(someName+up), d.path(someName+down)))
		}, "not a FIFO"},
		"others may speak": {func(d *door) {
			d.fifo(up, 0o602, d.l.welcome)
			d.fifo(down, 0o600, "")
		}, "others than user"},
		"the group may speak": {func(d *door) {
			d.fifo(up, 0o620, d.l.welcome)
			d.fifo(down, 0o600, "")
		}, "others than user"},
		"others may hear": {func(d *door) {
			d.fifo(up, 0o600, d.l.welcome)
			d.fifo(down, 0o644, "")
		}, "others than user"},
		"no greeting": {func(d *door) {
			d.fifo(up, 0o600, "")
			d.fifo(down, 0o600, "")
		}, "has not greeted"},
		"half a greeting": {func(d *door) {
			d.fifo(up, 0o600, d.l.welcome[:10])
			d.fifo(down, 0o600, "")
		}, "has not greeted"},
		"a greeting for another": {func(d *door) {
			other := newDoor(d.T)
			d.fifo(up, 0o600, other.l.welcome)
			d.fifo(down, 0o600, "")
		}, "has not greeted"},
		"nobody hears": {func(d *door) {
			d.fifo(up, 0o600, d.l.welcome)
			d.check(d.fifo(down, 0o600, "").Close())
		}, "no such device"},
		"nobody speaks": {func(d *door) {
			d.check(d.fifo(up, 0o600, d.l.welcome).Close())
			d.fifo(down, 0o600, "")
		}, "has not greeted"},
		"no room for an answer": {func(d *door) {
			d.fifo(up, 0o600, d.l.welcome)
			n, err := unix.FcntlInt(d.fifo(down, 0o600, "").Fd(), unix.F_GETPIPE_SZ, 0)
			d.check(err)
			_, err = d.held[1].WriteString(strings.Repeat("x", n))
			d.check(err)
		}, "resource temporarily unavailable"},
		"two users": {func(d *door) {
			d.fifo(up, 0o600, d.l.welcome)
			d.fifo(down, 0o600, "")
			if err := os.Chown(d.path(someName+up), 12345, -1); err != nil {
				d.Skip("only root can play two users")
			}
		}, "belong to two users"},
	} {
		t.Run(what, func(t *testing.T) {
			d := newDoor(t)
			test.make(d)
			d.knock("\n" + someName + "\n")
			if err := <-d.refused; !strings.Contains(err.Error(), test.want) {
				t.Errorf("refused with %q, want %q", err, test.want)
			}
			d.serves()
		})
	}
}

func TestNamesThatAreNone(t *testing.T) {
	for _, line := range []string{
		"x", "../../../../etc/passwd", "knock", "\x00", strings.Repeat("/", nameLen),
		someName + "0", "./" + someName[2:], strings.Repeat("0", 5000),
	} {
		d := newDoor(t)
		d.knock(line + "\n")
		if err := <-d.refused; !strings.Contains(err.Error(), "is no path") {
			t.Errorf("%.40q: %v", line, err)
		}
		d.knock(line) // and then nothing, until the next one knocks
		d.serves()
	}
}

// Nothing is removed that was refused: a stranger who knows a name cannot end its handshake.
func TestStrangerKnocksFirst(t *testing.T) {
	d := newDoor(t)
	client := d.fifo(up, 0o600, "")
	answer := d.fifo(down, 0o600, "")
	d.knock("\n" + someName + "\n")
	<-d.refused
	_, err := client.WriteString(d.l.welcome)
	d.check(err)
	d.knock("\n" + someName + "\n")
	var line [1]byte
	if _, err := answer.Read(line[:]); err != nil || line[0] != '\n' {
		t.Fatal(line, err)
	}
	c, err := d.l.Accept(t.Context())
	d.check(err)
	d.check(c.Close())
	d.knock("\n" + someName + "\n") // now the name is worth nothing
	if err := <-d.refused; !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// Conns leave nothing in the directory, and neither do dials that nobody answers, nor the listener.
func TestNothingIsLeft(t *testing.T) {
	d := newDoor(t)
	left := func(want int) {
		t.Helper()
		if names, err := os.ReadDir(d.place.Dir); err != nil || len(names) != want {
			t.Fatalf("the directory holds %v (%v), want %d", names, err, want)
		}
	}
	d.serves()
	left(1)
	d.check(d.l.Close())
	left(0)
	deaf, _, err := makeFIFO(d.l.dirAgain(t), knock, 0o600, -1) // hears, and does not answer
	d.check(err)
	defer deaf.Close()
	done := make(chan error, 1)
	ctx, cancel := contextWithCause(t)
	go func() {
		_, err := d.place.Dial(ctx)
		done <- err
	}()
	if _, err := deaf.Read(make([]byte, 1)); err != nil { // it has knocked
		t.Fatal(err)
	}
	cancel(errEnough)
	if err := <-done; !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	left(1)
}

func TestListenRefuses(t *testing.T) {
	for mode := range uint32(0o2000) {
		if mode == 0o700 || mode == 0o1730 || mode == 0o1733 || mode&0o700 != 0o700 {
			continue
		}
		place := &Transport{Dir: newDir(t, mode)}
		if _, err := place.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%04o", mode)) {
			t.Fatalf("mode %04o: %v", mode, err)
		}
		if _, err := place.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%04o", mode)) {
			t.Fatalf("mode %04o: %v", mode, err)
		}
	}
	if _, err := (&Transport{Dir: "/nowhere"}).Listen(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	d := newDoor(t)
	if _, err := d.place.Listen(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatal(err)
	}
	d.serves()
	if os.Geteuid() == 0 {
		place := &Transport{Dir: newDir(t, 0o700)}
		d.check(os.Chown(place.Dir, 12345, -1))
		if _, err := place.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
			t.Fatal(err)
		}
	}
}

// What a killed daemon leaves says so to a client, and is replaced by the next one.
func TestKilledDaemon(t *testing.T) {
	place := &Transport{Dir: newDir(t, 0o700)}
	if err := syscall.Mkfifo(filepath.Join(place.Dir, knock), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := place.Dial(t.Context()); !errors.Is(err, syscall.ENXIO) || !strings.Contains(err.Error(), "start it again") {
		t.Fatal(err)
	}
	l, err := place.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := place.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// Who makes the FIFO to knock at in another's directory is not the daemon.
func TestImpostor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can play two users")
	}
	place := &Transport{Dir: newDir(t, 0o1733)}
	path := filepath.Join(place.Dir, knock)
	if err := errors.Join(syscall.Mkfifo(path, 0o666), os.Chown(path, 12345, -1)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := place.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), "this is not the daemon") {
		t.Fatal(err)
	}
}
