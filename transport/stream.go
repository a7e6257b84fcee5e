package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rudderpost/rudderpost/internal/rawio"
)

// A ByteStream is what NewStream makes a Conn of: every net.Conn is one, a QUIC stream nearly.
// Read and Write may overlap; Close unblocks both, and afterwards any error will do. One that has
// SyscallConn is read through it where that is possible, so that waiting needs no buffer; and written through it,
// if it is a net.Conn, since that costs less. A type that embeds such a stream and has a Read or, as a net.Conn, a
// Write of its own must hide it. One that has Wait() is read after that
// has returned, to the same end: it returns when Read would not wait.
type ByteStream interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// StreamConfig says how a Stream behaves. The zero value is right for the conns of a listener,
// apart from Peer.
type StreamConfig struct {
	// Peer is who is at the other end.
	Peer Peer

	// MaxFrame is the longest frame in bytes that is received. 0: DefaultMaxFrame.
	MaxFrame int

	// Idle is how long the peer may be silent before its first frame is whole; each read restarts
	// it (Kea's rule). 0: 10 s. Negative: for ever.
	Idle time.Duration

	// FrameTimeout is how long a frame may take from its first byte to its last. 0: 5 min.
	// Negative: for ever.
	FrameTimeout time.Duration

	// Memory is where the conn books what it holds of frames that are not whole: MemoryOf the context of
	// Listen. nil: it books nothing.
	Memory Memory

	// Reserve says that the conn has one of the descriptors that the process keeps for its owner: the manager
	// refuses the conn unless its peer is the owner.
	Reserve bool

	// Gone tells, when the peer has said its last word, whether it cannot hear us either. A stream
	// whose peers are to be found gone must, in Close, stop hearing before it says its last word.
	// nil: it can, until a write fails.
	Gone func() bool
}

// minSkipped is how many bytes of white space and comments a peer may send between two frames, even if MaxFrame
// is less.
const minSkipped = 64 << 10

const (
	defaultIdle         = 10 * time.Second
	defaultFrameTimeout = 5 * time.Minute
)

// Stream is a Conn over a stream of bytes. A frame is a JSON object or array; it ends where its
// first bracket is closed. White space, comments and nothing at all may stand between frames: MaxFrame
// bytes of them at most, or 64 KiB if that is more.
// Frames are sent as one line each.
type Stream struct {
	bytes ByteStream
	cfg   StreamConfig

	ctx    context.Context
	gone   context.CancelCauseFunc
	closed atomic.Bool

	// What only Receive and Hear touch. The booleans stand together, here and in hearing: an idle conn is as small
	// as its fields, and a Stream of at most 768 bytes takes 128 less (TestIdleStreamIsSmall).
	received bool // a first whole frame has been received
	in       reader
	taken    int // how long the frame is that was returned last and has not been consumed, with what stood before it
	hearing  hearing
	scan     scanner
	skipped  int       // bytes of white space and comments before the current frame that were dropped
	began    time.Time // when the current frame's first byte came; zero: it has not
	deadline time.Time // what the read deadline is set to; zero: none
	ended    error     // why nothing more can be received
	readEnd  ender

	watch atomic.Pointer[Watch] // which has watched it; nil: none
	post  int                   // where; its lock guards it

	// What only Send and TrySend touch.
	out      writer
	left     net.Buffers // what TrySend has not sent
	writeEnd ender
}

// NewStream makes a Conn of b, which belongs to it from now on.
func NewStream(b ByteStream, cfg StreamConfig) *Stream {
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = DefaultMaxFrame
	}
	if cfg.Idle == 0 {
		cfg.Idle = defaultIdle
	}
	if cfg.FrameTimeout == 0 {
		cfg.FrameTimeout = defaultFrameTimeout
	}
	s := &Stream{bytes: b, cfg: cfg}
	s.ctx, s.gone = context.WithCancelCause(context.Background())
	raw := rawConn(b)
	s.in.init(b, raw, cfg.MaxFrame)
	s.in.held.Init(cfg.Memory, &s.cfg.Peer)
	if _, ok := b.(net.Conn); !ok { // what is read may be another descriptor than what is written
		raw = nil
	}
	s.out.init(b, raw)
	s.readEnd.set = b.SetReadDeadline
	s.writeEnd.set = b.SetWriteDeadline
	return s
}

// rawConn returns the descriptor of a stream, or nil where there is none that can be used as it is.
func rawConn(b ByteStream) syscall.RawConn {
	sc, ok := b.(syscall.Conn)
	if !ok || !rawio.Can {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// Context implements Conn.
func (s *Stream) Context() context.Context { return s.ctx }

// Depart ends the Context: the wire tells why the peer cannot hear us, though nobody reads or writes.
func (s *Stream) Depart(cause error) { s.gone(cause) }

// InReserve reports whether the conn has one of the descriptors that the process keeps for its owner; see
// StreamConfig.Reserve.
func (s *Stream) InReserve() bool { return s.cfg.Reserve }

// Peer implements Conn.
func (s *Stream) Peer() Peer { return s.cfg.Peer }

// Receive implements Conn.
func (s *Stream) Receive(ctx context.Context, dst []byte) ([]byte, error) {
	for {
		frame, err := s.cut()
		if frame != nil {
			return s.give(dst, frame)
		}
		if err == nil {
			err = s.read(ctx)
		}
		if err != nil {
			return dst, err
		}
	}
}

// give appends the frame that cut returned to dst. A long one is not copied: the caller gets the array that it
// lies in.
func (s *Stream) give(dst, frame []byte) ([]byte, error) {
	if len(dst) == 0 && cap(dst) < len(frame) {
		if own := s.in.handOver(s.scan.start, s.taken); own != nil {
			s.begin()
			return own, nil
		}
	}
	dst = append(dst, frame...)
	s.consume()
	return dst, nil
}

// cut returns a frame that has been read whole, as it lies in the buffer until the next call, or nil. The error
// says why there will be none.
func (s *Stream) cut() (frame []byte, err error) {
	s.consume()
	if s.closed.Load() {
		return nil, net.ErrClosed
	}
	if s.ended != nil {
		return nil, s.ended
	}
	end, bad := s.scan.scan(s.in.data)
	switch {
	case bad != nil:
		bad.Offset += s.skipped
		return nil, s.end(bad)
	case s.scan.depth > 0 && len(s.in.data)-s.scan.start > s.cfg.MaxFrame,
		end-s.scan.start > s.cfg.MaxFrame:
		return nil, s.end(&FrameError{Reason: TooLarge, Limit: s.cfg.MaxFrame})
	case end > 0:
		s.taken = end
		return s.in.data[s.scan.start:end], nil
	}
	s.forget()
	if limit := max(s.cfg.MaxFrame, minSkipped); s.skipped > limit { // they cost no memory, but the processor's time
		return nil, s.end(&FrameError{Reason: NoFrame, Limit: limit})
	}
	return nil, nil
}

// read waits for more bytes, within the limits of time.
func (s *Stream) read(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	err := s.in.read()
	if err == nil {
		return nil
	}
	return s.unreadable(ctx, err)
}

// prepare sets the read deadline.
func (s *Stream) prepare(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.readEnd.follow(ctx) {
		s.deadline = time.Time{}
	}
	s.hearing.timed = -1
	// A net.Pipe that the peer has closed takes no deadline; reading from it says so.
	if err := s.limit(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		if s.closed.Load() {
			return net.ErrClosed
		}
		return s.fail(err)
	}
	if ctx.Err() != nil { // its deadline may have been overwritten
		return context.Cause(ctx)
	}
	return nil
}

// unreadable makes an error of Receive of what a read said.
func (s *Stream) unreadable(ctx context.Context, err error) error {
	if s.closed.Load() {
		return net.ErrClosed
	}
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return s.fail(err)
}

// fail ends receiving for the reason that a read gave.
func (s *Stream) fail(err error) error {
	unfinished := s.scan.unfinished(len(s.in.data))
	if bad, ok := errors.AsType[*FrameError](err); ok { // of the account
		bad.Discarded = unfinished
		return s.end(bad)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return s.end(&FrameError{Reason: TimedOut, Discarded: unfinished})
	case errors.Is(err, net.ErrClosed):
		return s.end(net.ErrClosed)
	case !errors.Is(err, io.EOF):
		s.gone(err)
		return s.end(err)
	}
	if s.cfg.Gone != nil && s.cfg.Gone() {
		s.gone(errGone)
	}
	if unfinished > 0 {
		return s.end(&FrameError{Reason: CutOff, Discarded: unfinished})
	}
	return s.end(io.EOF)
}

var errGone = errors.New("the peer has left")

// limit sets the read deadline that the moment asks for, and touches it only when that changes: not
// at all while whole frames keep coming.
func (s *Stream) limit() error {
	var want time.Time
	if !s.received && s.cfg.Idle > 0 {
		want = time.Now().Add(s.cfg.Idle)
	}
	if s.scan.depth > 0 && s.cfg.FrameTimeout > 0 {
		if s.began.IsZero() {
			s.began = time.Now()
		}
		if whole := s.began.Add(s.cfg.FrameTimeout); want.IsZero() || whole.Before(want) {
			want = whole
		}
	}
	if want.Equal(s.deadline) {
		return nil
	}
	s.deadline = want
	return s.bytes.SetReadDeadline(want)
}

// limited reports whether what the peer says next is limited in time.
func (s *Stream) limited() bool {
	return !s.received && s.cfg.Idle > 0 || s.scan.depth > 0 && s.cfg.FrameTimeout > 0
}

// end remembers why nothing more can be received.
func (s *Stream) end(err error) error {
	s.ended = err
	s.in.release()
	_ = s.in.held.Set(0)
	return err
}

// consume drops the frame that cut returned, if that has not been done.
func (s *Stream) consume() {
	if s.taken == 0 {
		return
	}
	end := s.taken
	s.begin()
	s.in.consume(end)
}

// begin is for the frame behind the one that was taken.
func (s *Stream) begin() {
	s.taken = 0
	s.received = true
	s.began = time.Time{}
	s.skipped = 0
	s.scan = scanner{}
}

// forget drops white space and comments that stand before a frame, so that they cannot pile up. Of
// those only a slash may be needed again.
func (s *Stream) forget() {
	if s.scan.depth > 0 {
		return
	}
	n := len(s.in.data)
	if s.scan.state == slash {
		n--
	}
	s.skipped += n
	s.scan.pos -= n
	s.in.consume(n)
}

// Close implements Conn.
func (s *Stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.gone(net.ErrClosed)
	defer s.in.held.Close()
	defer s.writeEnd.forget()
	defer s.readEnd.forget()
	if s.hearing.inside.Load() { // a descriptor's Close waits for who uses it
		go func() { _ = s.closeBytes() }()
		return nil
	}
	return s.closeBytes()
}
