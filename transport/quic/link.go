package quic

import (
	"errors"
	"net"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/rudderpost/rudderpost/transport"
)

// A link is a client's end of a connection.
type link struct {
	conn *quicgo.Conn
	quic *quicgo.Transport
	sock net.PacketConn
	peer transport.Peer

	mu    sync.Mutex
	open  int       // streams that are not closed
	over  bool      // it is being closed
	doubt time.Time // until then the daemon may be reading what was sent on a stream that is closed
}

var errOver = errors.New("the connection is being closed")

// stream opens a stream, without waiting for the daemon to permit it.
func (l *link) stream() (*dialed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil, errOver
	}
	stream, err := l.conn.OpenStream()
	if err != nil {
		return nil, err
	}
	l.open++
	d := &dialed{byteStream: byteStream{Stream: stream}, link: l, heard: make(chan struct{})}
	stream.SetReceiveFinalSizeCallback(func(int64) { close(d.heard) })
	return d, nil
}

// leave is told that a stream was closed, and whether the daemon had closed its end. It reports
// whether it was the last one, and until when the daemon may have to read.
func (l *link) leave(heard bool) (last bool, doubt time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !heard {
		l.doubt = time.Now().Add(linger)
	}
	l.open--
	l.over = l.over || l.open == 0
	return l.open == 0, l.doubt
}

// closeUnused closes a connection that has no streams.
func (l *link) closeUnused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == 0 && !l.over {
		l.over = true
		_ = l.conn.CloseWithError(connDone, "")
	}
}

// free closes the socket of a connection that has ended.
func (l *link) free() {
	_ = l.quic.Close()
	_ = l.sock.Close()
}

// closeAfter closes the connection at a time, if the daemon does not before.
func (l *link) closeAfter(doubt time.Time) {
	timer := time.NewTimer(time.Until(doubt))
	defer timer.Stop()
	select {
	case <-l.conn.Context().Done():
	case <-timer.C:
		_ = l.conn.CloseWithError(connDone, "")
	}
}

// A dialed is the client's end of a stream.
type dialed struct {
	byteStream
	link  *link
	heard chan struct{} // closed when the daemon has said its last word, or has been told of ours
	once  sync.Once
}

// answerTime is how long Close waits until the daemon has heard that the client has left.
const answerTime = 500 * time.Millisecond

// Close closes both halves, and with the last stream the connection: at once when the daemon has
// closed its end before. Otherwise it has yet to read what was sent, and a process that ends now
// would never tell it that nobody listens: Close waits until it has been told, which takes a round
// trip, and the rest happens behind the caller's back.
func (d *dialed) Close() error {
	d.once.Do(d.leave)
	return nil
}

func (d *dialed) leave() {
	d.finish()
	heard := false
	select {
	case <-d.heard:
		heard = true
	default:
	}
	last, doubt := d.link.leave(heard)
	if !last {
		d.CancelRead(streamClosed)
		return
	}
	d.CancelRead(streamLast)
	if time.Now().After(doubt) {
		_ = d.link.conn.CloseWithError(connDone, "")
		return
	}
	go d.link.closeAfter(doubt)
	if heard {
		return
	}
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case <-d.heard:
	case <-d.link.conn.Context().Done():
	case <-timer.C:
	}
}
