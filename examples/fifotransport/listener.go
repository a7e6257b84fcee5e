//go:build linux

package fifo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/rudderpost/rudderpost/transport"
)

// backlog is how many conns may wait to be accepted. About 1900 more knocks wait in the FIFO.
const backlog = 128

// A listener answers knocks.
type listener struct {
	place   Transport
	dir     *os.File // locked while we listen
	door    *os.File // both ends, so that it never ends
	welcome string   // the greeting that is for us

	answering sync.WaitGroup
	queue     chan *transport.Stream
	closed    chan struct{}
	close     func() error
}

func (t *Transport) listen(ctx context.Context) (*listener, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	dir, st, err := openDir(t.Dir, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	l := &listener{place: *t, dir: dir, queue: make(chan *transport.Stream, backlog), closed: make(chan struct{})}
	if err := l.open(st); err != nil {
		_ = dir.Close()
		return nil, err
	}
	l.close = sync.OnceValue(l.shut)
	l.answering.Go(l.answer)
	return l, nil
}

// open makes the FIFO to knock at. Nobody but the directory's owner can read the directory, or lock it.
func (l *listener) open(dir unix.Stat_t) error {
	if us := uint32(os.Geteuid()); dir.Uid != us {
		return fmt.Errorf("the directory belongs to user %d; it must be ours (user %d)", dir.Uid, us)
	}
	if err := unix.Flock(int(l.dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: another daemon listens here", unix.EADDRINUSE)
	} else if err != nil {
		return os.NewSyscallError("flock", err)
	}
	remove(l.dir, knock) // a killed daemon's, or somebody's who would like to be one
	gid := -1
	if dir.Mode&0o022 == 0o020 {
		gid = int(dir.Gid) // the daemon's own may be another
	}
	door, st, err := makeFIFO(l.dir, knock, 0o600|dir.Mode&0o022, gid)
	if err != nil {
		return err
	}
	l.door, l.welcome = door, greeting(st)
	return nil
}

// answer reads the names of those who knock, one a line, until the listener is closed. It waits for
// nobody: a client has said all that we need before it knocks.
func (l *listener) answer() {
	knocks := bufio.NewReader(l.door)
	for {
		name, _, err := knocks.ReadLine() // of an endless line a part: it is no name either
		if err != nil {
			return
		}
		if len(name) > 0 {
			l.meet(string(name))
		}
	}
}

// meet makes a conn for the client that gave its name, or refuses it.
func (l *listener) meet(name string) {
	s := new(stream)
	if err := s.open(l.dir, name, l.welcome); err != nil {
		_ = s.Close()
		if l.place.OnRefused != nil {
			l.place.OnRefused(transport.Refusal{Transport: kind, Addr: l.Addr(), Err: err})
		}
		return
	}
	c := s.conn(l.Addr(), transport.StreamConfig{
		MaxFrame: l.place.MaxFrame, Idle: l.place.Idle, FrameTimeout: l.place.FrameTimeout,
	})
	select {
	case l.queue <- c:
	case <-l.closed:
		_ = c.Close()
	}
}

// open opens the FIFOs of a client and hears whether it means us. Until it is believed nothing is
// removed, so that a stranger who knows the name cannot disturb it.
func (s *stream) open(dir *os.File, name, welcome string) (err error) {
	if len(name) != nameLen || strings.Contains(name, "/") {
		return fmt.Errorf("a name has %d bytes and is no path", nameLen)
	}
	var in, out unix.Stat_t
	if s.in, in, err = openFIFO(dir, name+up, unix.O_RDONLY); err != nil {
		return err
	}
	if s.out, out, err = openFIFO(dir, name+down, unix.O_WRONLY); err != nil {
		return err
	}
	said := make([]byte, len(welcome))
	n, err := unix.Read(int(s.in.Fd()), said) // it does not wait
	switch {
	case in.Uid != out.Uid:
		return fmt.Errorf("the FIFOs belong to two users, %d and %d", in.Uid, out.Uid)
	case in.Mode&0o022 != 0 || out.Mode&0o044 != 0:
		return fmt.Errorf("others than user %d may write %s or read %s", in.Uid, name+up, name+down)
	case err != nil:
		return fmt.Errorf("user %d has not greeted this daemon: %w", in.Uid, err)
	case string(said[:n]) != welcome:
		return fmt.Errorf("user %d has not greeted this daemon but said %q", in.Uid, said[:n])
	}
	remove(dir, name+up, name+down)
	s.peer = User{UID: in.Uid}
	_, err = unix.Write(int(s.out.Fd()), []byte("\n"))
	return os.NewSyscallError("write", err)
}

// Accept implements transport.Listener.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close implements transport.Listener. When it has returned the directory is free for another daemon.
func (l *listener) Close() error { return l.close() }

func (l *listener) shut() error {
	remove(l.dir, knock)
	close(l.closed)
	err := l.door.Close()
	l.answering.Wait()
	for {
		select {
		case c := <-l.queue:
			_ = c.Close()
			continue
		default:
		}
		return errors.Join(err, l.dir.Close())
	}
}

// Addr implements transport.Listener.
func (l *listener) Addr() net.Addr { return addr(l.place.Dir) }
