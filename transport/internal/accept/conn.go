package accept

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/internal/netfd"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// A Conn is a TCP connection whose handshake is complete.
type Conn struct {
	net.Conn                        // a *tls.Conn, or the TCP connection
	Session  string                 // a name for logs; unique in this process
	Creds    []transport.Credential // what the peer's certificate proves
	TLS      *tls.ConnectionState   // nil: no TLS
	remote   net.Addr               // the client's address that a trusted proxy reported; nil: no report
	tcp      *net.TCPConn           // below TLS
	writing  atomic.Int32           // writes in progress, and writes that failed
	once     sync.Once
	err      error // of Close
}

// A PlainConn is a Conn without TLS whose descriptor can be used: it implements syscall.Conn.
type PlainConn struct{ *Conn }

// SyscallConn implements syscall.Conn. Writes through the descriptor count as writes of the Conn.
func (s PlainConn) SyscallConn() (syscall.RawConn, error) {
	raw, err := s.tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	return rawConn{raw, s.Conn}, nil
}

// A rawConn is the descriptor of a Conn. It counts the writes in progress, as Conn.Write does, so that Close does not
// linger for a peer that has not read what was written to it.
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

// After Close, the connection is read for at most lingerTimeout and maxLingerBytes. Otherwise bytes that arrive would
// cause a reset, and the reset would destroy what the peer has not read yet. A peer that sends more gets the reset.
const (
	lingerTimeout  = 2 * time.Second
	maxLingerBytes = 32 << 20
)

// NewConn returns a Conn for c, whose handshake is complete: a *tls.Conn over TCP, or a TCP connection. kind is the
// transport's name, which the session's name begins with.
func NewConn(c net.Conn, kind string) *Conn {
	conn := &Conn{Conn: c, Session: transport.NewSession(kind)}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if s, ok := c.(*netfd.Socket); ok {
		c = s.Conn
	}
	conn.tcp, _ = c.(*net.TCPConn)
	return conn
}

// NewClientConn does the client's side of the TLS handshake on c, a TCP connection to host, and returns a Conn named
// kind. The Conn has the daemon's certificate as its credential. The error is the cause of ctx when ctx ends before the
// handshake is complete, and then or after any other error the caller must close c. plainURL is the URL that the error
// suggests when the other side does not speak TLS.
func NewClientConn(ctx context.Context, c net.Conn, client *tlsconf.Client, host, proto, kind, plainURL string) (*Conn, error) {
	config, err := client.Config(host, proto)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
			err = fmt.Errorf("the daemon does not speak TLS there; is it %s? %w", plainURL, err)
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	conn := NewConn(secure, kind)
	state := secure.ConnectionState()
	conn.TLS = &state
	conn.Creds = []transport.Credential{tlsconf.FingerprintOf(state.PeerCertificates[0])} // a server always has one
	return conn, nil
}

// RemoteAddr implements net.Conn. It returns the client's address that a trusted proxy reported, if there is one.
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
	if err == nil { // a failed write stays counted: nothing can be written after it, and Close must not linger
		c.writing.Add(-1)
	}
	return n, err
}

// CloseWrite tells the peer that no more bytes follow.
func (c *Conn) CloseWrite() error {
	if t, ok := c.Conn.(*tls.Conn); ok {
		return t.CloseWrite()
	}
	return c.tcp.CloseWrite()
}

// Close implements net.Conn. It tells the peer that no more bytes follow. The peer receives all bytes that were written,
// even if it is sending bytes that are not read any more: a plain close of a TCP socket would discard them then (RFC
// 1122, 4.2.2.13). So a goroutine reads for up to 2 s after Close has returned. When a Write is in progress or has
// failed, Close ends it and closes the socket at once.
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
	if c.tcp.CloseWrite() != nil { // the socket is broken or closed
		return c.Conn.Close()
	}
	_ = c.tcp.SetReadDeadline(ctxio.LongAgo) // ends a Read that is blocked
	if peerFinished(c.tcp) {
		return c.Conn.Close()
	}
	go c.linger()
	return nil
}

// linger reads and discards bytes until the peer closes its side, and closes the socket.
func (c *Conn) linger() {
	defer c.tcp.Close()
	stop := time.AfterFunc(lingerTimeout, func() { _ = c.tcp.Close() })
	defer stop.Stop()
	buf := make([]byte, 16<<10)
	_, _ = c.tcp.Read(buf) // returns an error at once; it waits until a Read on another goroutine has returned
	_ = c.tcp.SetReadDeadline(time.Time{})
	for total := 0; total < maxLingerBytes; {
		n, err := c.tcp.Read(buf)
		if err != nil {
			return
		}
		total += n
	}
}
