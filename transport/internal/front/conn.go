package front

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// A Conn is a connection whose handshake is done.
type Conn struct {
	net.Conn                        // a *tls.Conn, or TCP
	Session  string                 // unique in this process
	Creds    []transport.Credential // what its certificate proves
	TLS      *tls.ConnectionState   // nil: no TLS
	remote   net.Addr               // the client's address that a trusted proxy reported; nil: none did
	tcp      *net.TCPConn           // underneath
	writing  atomic.Int32           // writes under way
	once     sync.Once
	err      error
}

// A Socket is a Conn without TLS, which can be read through its descriptor.
type Socket struct{ *Conn }

// SyscallConn implements syscall.Conn. Writes through the descriptor count as writes of the Conn.
func (s Socket) SyscallConn() (syscall.RawConn, error) {
	raw, err := s.tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	return rawConn{raw, s.Conn}, nil
}

// A rawConn is the descriptor of a Conn. It counts the writes that are under way, as Conn.Write does, so that Close
// does not linger for a peer that has not read what was written to it.
type rawConn struct {
	syscall.RawConn
	conn *Conn
}

// Write implements syscall.RawConn.
func (r rawConn) Write(f func(fd uintptr) (done bool)) error {
	r.conn.writing.Add(1)
	err := r.RawConn.Write(f)
	if err == nil {
		r.conn.writing.Add(-1)
	}
	return err
}

// linger is how long, and drained how many bytes, a closed connection is read from, so that what the
// peer still sends does not destroy what it has not read yet. Whoever sends more learns of the end by
// a reset.
const (
	linger  = 2 * time.Second
	drained = 32 << 20
)

// NewConn makes a Conn of one whose handshake is done: a *tls.Conn over TCP, or TCP itself.
func NewConn(c net.Conn, kind string) *Conn {
	conn := &Conn{Conn: c, Session: transport.NewSession(kind)}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if s, ok := c.(*socket); ok {
		c = s.Conn
	}
	conn.tcp, _ = c.(*net.TCPConn)
	return conn
}

// RemoteAddr implements net.Conn. It is the client's address, if a trusted proxy reported one.
func (c *Conn) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return c.Conn.RemoteAddr()
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	c.writing.Add(1)
	n, err := c.Conn.Write(p)
	if err == nil { // else it counts for ever: nothing can be said any more
		c.writing.Add(-1)
	}
	return n, err
}

// CloseWrite tells the peer that nothing more comes.
func (c *Conn) CloseWrite() error {
	if t, ok := c.Conn.(*tls.Conn); ok {
		return t.CloseWrite()
	}
	return c.tcp.CloseWrite()
}

// Close implements net.Conn: the peer is told that nothing more comes, and what was written reaches
// it, even while it is sending something that nobody will read; a TCP socket that is simply closed
// then takes back what it has sent (RFC 1122, 4.2.2.13). A write that is under way is given up, and
// the socket with it; so is one that has failed.
func (c *Conn) Close() error {
	c.once.Do(func() { c.err = c.close() })
	return c.err
}

func (c *Conn) close() error {
	if c.tcp == nil || c.writing.Load() > 0 {
		return c.Conn.Close()
	}
	if t, ok := c.Conn.(*tls.Conn); ok {
		_ = t.SetWriteDeadline(time.Now().Add(time.Second))
		if t.CloseWrite() != nil {
			return c.Conn.Close()
		}
	}
	if c.tcp.CloseWrite() != nil { // it is broken, or closed
		return c.Conn.Close()
	}
	_ = c.tcp.SetReadDeadline(time.Unix(1, 0)) // whoever reads stops
	if left(c.tcp) {
		return c.Conn.Close()
	}
	go c.drain()
	return nil
}

// drain reads until the peer closes too.
func (c *Conn) drain() {
	defer c.tcp.Close()
	stop := time.AfterFunc(linger, func() { _ = c.tcp.Close() })
	defer stop.Stop()
	waste := make([]byte, 16<<10)
	_, _ = c.tcp.Read(waste) // fails; after it nobody else reads
	_ = c.tcp.SetReadDeadline(time.Time{})
	for total := 0; total < drained; {
		n, err := c.tcp.Read(waste)
		if err != nil {
			return
		}
		total += n
	}
}
