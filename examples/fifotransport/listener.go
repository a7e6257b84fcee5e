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

// backlog is how many conns may wait for Accept. About 1900 more names fit into the FIFO.
const backlog = 128

// A listener reads the names of clients from the FIFO "connect", and makes a conn for each.
type listener struct {
	transport Transport
	dir       *os.File // locked as long as the listener is open
	connect   *os.File // both ends, so that a read never returns io.EOF
	greeting  string   // the greeting of a client of this daemon

	accepting sync.WaitGroup
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
	l := &listener{transport: *t, dir: dir, queue: make(chan *transport.Stream, backlog), closed: make(chan struct{})}
	if err := l.open(st); err != nil {
		_ = dir.Close()
		return nil, err
	}
	l.close = sync.OnceValue(l.shut)
	l.accepting.Go(l.acceptClients)
	return l, nil
}

// open locks the directory and makes the FIFO "connect". Only the owner of the directory can lock it.
func (l *listener) open(dir unix.Stat_t) error {
	if us := uint32(os.Geteuid()); dir.Uid != us {
		return fmt.Errorf("the directory belongs to user %d; it must be ours (user %d)", dir.Uid, us)
	}
	if err := unix.Flock(int(l.dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: another daemon listens here", unix.EADDRINUSE)
	} else if err != nil {
		return os.NewSyscallError("flock", err)
	}
	remove(l.dir, connectName) // of a killed daemon, or of a user that wants to be taken for the daemon
	gid := -1
	if dir.Mode&0o022 == 0o020 {
		gid = int(dir.Gid) // the daemon may have another group
	}
	connect, st, err := makeFIFO(l.dir, connectName, 0o600|dir.Mode&0o022, gid)
	if err != nil {
		return err
	}
	l.connect, l.greeting = connect, greeting(st)
	return nil
}

// acceptClients reads names of clients, one a line, until the listener is closed. No client can delay it, since a client has
// written its greeting before its name.
func (l *listener) acceptClients() {
	names := bufio.NewReader(l.connect)
	for {
		name, _, err := names.ReadLine() // or a part of a line that is too long for a name
		if err != nil {
			return
		}
		if len(name) > 0 {
			l.acceptClient(string(name))
		}
	}
}

// acceptClient makes a conn for the client with that name, or refuses it.
func (l *listener) acceptClient(name string) {
	s := new(stream)
	if err := s.open(l.dir, name, l.greeting); err != nil {
		_ = s.Close()
		if l.transport.OnRefused != nil {
			l.transport.OnRefused(transport.Refusal{Transport: kind, Addr: l.Addr(), Err: err})
		}
		return
	}
	c := s.conn(l.Addr(), transport.StreamConfig{
		MaxFrame: l.transport.MaxFrame, Idle: l.transport.Idle, FrameTimeout: l.transport.FrameTimeout,
	})
	select {
	case l.queue <- c:
	case <-l.closed:
		_ = c.Close()
	}
}

// open opens the FIFOs of a client, and checks their owners, modes and greeting. It removes the names only after that, so that
// another user that has learned the name cannot end the handshake.
func (s *stream) open(dir *os.File, name, greeting string) (err error) {
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
	line := make([]byte, len(greeting))
	n, err := unix.Read(int(s.in.Fd()), line) // the FIFO does not block
	switch {
	case in.Uid != out.Uid:
		return fmt.Errorf("the FIFOs belong to two users, %d and %d", in.Uid, out.Uid)
	case in.Mode&0o022 != 0 || out.Mode&0o044 != 0:
		return fmt.Errorf("others than user %d may write %s or read %s", in.Uid, name+up, name+down)
	case err != nil:
		return fmt.Errorf("user %d has not greeted this daemon: %w", in.Uid, err)
	case string(line[:n]) != greeting:
		return fmt.Errorf("user %d has not greeted this daemon but wrote %q", in.Uid, line[:n])
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

// Close implements transport.Listener. After it has returned, another daemon can listen in the directory.
func (l *listener) Close() error { return l.close() }

func (l *listener) shut() error {
	remove(l.dir, connectName)
	close(l.closed)
	err := l.connect.Close()
	l.accepting.Wait()
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
func (l *listener) Addr() net.Addr { return addr(l.transport.Dir) }
