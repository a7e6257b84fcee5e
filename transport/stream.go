package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/internal/framescan"
	"github.com/rudderpost/rudderpost/internal/netfd"
)

// A ByteStream is the connection under a Stream. Each net.Conn is a ByteStream.
//
// One Read and one Write may run at the same time. Close unblocks both; their error may be any error then. The deadlines
// are those of a net.Conn.
//
// Two more methods save memory and time. A ByteStream with SyscallConn, as *net.TCPConn has it, is read through its
// descriptor, so that a read that waits needs no buffer. If it is a net.Conn, it is written through its descriptor too. A
// type that embeds such a connection and has its own Read, or its own Write as a net.Conn, must hide SyscallConn. A
// ByteStream with a method Wait() is read after Wait has returned: Wait blocks until Read would not block.
type ByteStream interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// StreamConfig configures a Stream. The defaults are those for a conn of a listener. A dialed conn usually has
// MaxFrame ClientMaxFrame, and negative Idle and FrameTimeout.
type StreamConfig struct {
	// Peer is the result of Stream.Peer.
	Peer Peer

	// MaxFrame is the length of the longest frame that is received, in bytes. 0: DefaultMaxFrame, 16 MiB.
	MaxFrame int

	// Idle is how long the peer may be silent until its first frame is complete. Each read restarts it, as Kea does. 0:
	// 10 s. Negative: no limit.
	Idle time.Duration

	// FrameTimeout is the maximum time between the first byte of a frame and its last. 0: 5 min. Negative: no limit.
	FrameTimeout time.Duration

	// Memory counts the bytes of incomplete frames that the conn holds. A listener sets it to MemoryOf the context of
	// Listen. nil: they are not counted.
	Memory Memory

	// Reserve marks a conn that uses one of the descriptors that the process keeps for the daemon's owner. The manager
	// refuses the conn unless its peer is the owner.
	Reserve bool

	// PeerClosed reports, after the end of the stream was read, whether the peer cannot read any more: it has closed its
	// connection, and not only its writing half. The Stream then ends its Context. It is called on the reader goroutine
	// and must not block. To be detected by it, Close of a ByteStream stops reading before it stops writing. nil: the
	// Context ends when a write fails.
	PeerClosed func() bool
}

// minSkipped is how many bytes of white space and comments may stand between two frames if MaxFrame is less.
const minSkipped = 64 << 10

const (
	defaultIdle         = 10 * time.Second
	defaultFrameTimeout = 5 * time.Minute
)

// Stream is a Conn over a ByteStream. A frame is a JSON object or array, which ends where its first bracket is closed.
// White space and comments may stand between frames, or nothing: at most MaxFrame bytes of them, or 64 KiB if that is
// more. Send writes one line for each frame.
//
// A type that embeds a *Stream is a Conn with a fast path, see Fast.
type Stream struct {
	bytes  ByteStream
	cfg    StreamConfig
	ctx    context.Context
	cancel context.CancelCauseFunc
	fd     netfd.Conn // the descriptor of bytes, if there is one, and the closed state

	// The writer goroutine uses rest and writeEnd. The booleans stand together, here and in readLoop: an idle conn is as
	// small as its fields, and a Stream of at most 768 bytes takes 128 less (TestIdleStreamIsSmall).
	writesFD bool        // fd is written to, and not bytes; does not change
	received bool        // a first complete frame was received
	rest     net.Buffers // what tryWriteFrames has left for the next write
	writeEnd ctxio.Deadline

	// The reader goroutine uses these fields, and received.
	in       readBuffer
	pending  int // the bytes of in up to the end of the frame that was returned last and is not discarded
	loop     readLoop
	scan     framescan.Scanner
	skipped  int       // bytes of white space and comments before the current frame that were discarded
	began    time.Time // when the first byte of the current frame came; zero: it has not come
	deadline time.Time // the read deadline that is set; zero: none
	ended    error     // why nothing more can be received
	readEnd  ctxio.Deadline
}

// NewStream returns a Stream over b. The Stream owns b from now on, and closes it.
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
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	if s.fd.Init(b) {
		_, s.writesFD = b.(net.Conn) // another stream may have a second descriptor for writing
	}
	s.in.init(b, &s.fd, cfg.MaxFrame)
	s.in.booked.Init(cfg.Memory, &s.cfg.Peer)
	s.readEnd.Set = b.SetReadDeadline
	s.writeEnd.Set = b.SetWriteDeadline
	return s
}

// Context implements Conn.
func (s *Stream) Context() context.Context { return s.ctx }

// CloseWithError ends the Context with a cause. A transport calls it when it learns that the peer cannot read any more,
// though no goroutine reads or writes. It does not close the ByteStream: the owner of the conn does that with Close. Only
// the first cause counts. It may be called from any goroutine and does not block.
func (s *Stream) CloseWithError(cause error) { s.cancel(cause) }

// InReserve returns StreamConfig.Reserve.
func (s *Stream) InReserve() bool { return s.cfg.Reserve }

// Peer implements Conn.
func (s *Stream) Peer() Peer { return s.cfg.Peer }

// Receive implements Conn.
func (s *Stream) Receive(ctx context.Context, dst []byte) ([]byte, error) {
	for {
		frame, err := s.nextFrame()
		if frame != nil {
			return s.takeFrame(dst, frame)
		}
		if err == nil {
			err = s.read(ctx)
		}
		if err != nil {
			return dst, err
		}
	}
}

// takeFrame appends the frame that nextFrame returned to dst. A long frame is not copied: the caller gets its array.
func (s *Stream) takeFrame(dst, frame []byte) ([]byte, error) {
	if len(dst) == 0 && cap(dst) < len(frame) {
		if own := s.in.handOver(s.scan.Start, s.pending); own != nil {
			s.startFrame()
			return own, nil
		}
	}
	dst = append(dst, frame...)
	s.discardFrame()
	return dst, nil
}

// nextFrame returns the next complete frame in the buffer, or nil if there is none. The frame is valid until the next
// call. The error is the reason for which no frame can follow.
func (s *Stream) nextFrame() (frame []byte, err error) {
	s.discardFrame()
	if s.fd.Closed() {
		return nil, net.ErrClosed
	}
	if s.ended != nil {
		return nil, s.ended
	}
	end, bad := s.scan.Scan(s.in.data)
	switch {
	case bad != nil:
		bad.Offset += s.skipped
		return nil, s.endReceiving(frameError(bad))
	case s.scan.Depth > 0 && len(s.in.data)-s.scan.Start > s.cfg.MaxFrame,
		end-s.scan.Start > s.cfg.MaxFrame:
		return nil, s.endReceiving(&FrameError{Reason: TooLarge, Limit: s.cfg.MaxFrame})
	case end > 0:
		s.pending = end
		return s.in.data[s.scan.Start:end], nil
	}
	s.discardBlanks()
	if limit := max(s.cfg.MaxFrame, minSkipped); s.skipped > limit { // they cost no memory, but the processor's time
		return nil, s.endReceiving(&FrameError{Reason: NoFrame, Limit: limit})
	}
	return nil, nil
}

// read waits for more bytes, within the limits of time.
func (s *Stream) read(ctx context.Context) error {
	if err := s.prepareRead(ctx); err != nil {
		return err
	}
	err := s.in.read()
	if err == nil {
		return nil
	}
	return s.readError(ctx, err)
}

// prepareRead sets the read deadline for a read with ctx.
func (s *Stream) prepareRead(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.readEnd.Watch(ctx) {
		s.deadline = time.Time{}
	}
	s.loop.idleMark = -1
	// A net.Pipe that the peer has closed takes no deadline; reading from it says so.
	if err := s.setLimit(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		if s.fd.Closed() {
			return net.ErrClosed
		}
		return s.fail(err)
	}
	if ctx.Err() != nil { // setLimit may have replaced the deadline of the context
		return context.Cause(ctx)
	}
	return nil
}

// readError returns the error of Receive for the error of a read.
func (s *Stream) readError(ctx context.Context, err error) error {
	if s.fd.Closed() {
		return net.ErrClosed
	}
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return s.fail(err)
}

// fail ends receiving after the error of a read.
func (s *Stream) fail(err error) error {
	unfinished := s.scan.Unfinished(len(s.in.data))
	if bad, ok := errors.AsType[*FrameError](err); ok { // of the memory account
		bad.Discarded = unfinished
		return s.endReceiving(bad)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return s.endReceiving(&FrameError{Reason: TimedOut, Discarded: unfinished})
	case errors.Is(err, net.ErrClosed):
		return s.endReceiving(net.ErrClosed)
	case !errors.Is(err, io.EOF):
		s.cancel(err)
		return s.endReceiving(err)
	}
	if s.cfg.PeerClosed != nil && s.cfg.PeerClosed() {
		s.cancel(errPeerClosed)
	}
	if unfinished > 0 {
		return s.endReceiving(&FrameError{Reason: CutOff, Discarded: unfinished})
	}
	return s.endReceiving(io.EOF)
}

var errPeerClosed = errors.New("the peer has left")

// setLimit sets the read deadline to that of Idle and FrameTimeout. It sets none when that has not changed: so a read of
// complete frames costs no call.
func (s *Stream) setLimit() error {
	var want time.Time
	if !s.received && s.cfg.Idle > 0 {
		want = time.Now().Add(s.cfg.Idle)
	}
	if s.scan.Depth > 0 && s.cfg.FrameTimeout > 0 {
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

// hasLimit reports whether Idle or FrameTimeout applies to the next read.
func (s *Stream) hasLimit() bool {
	return !s.received && s.cfg.Idle > 0 || s.scan.Depth > 0 && s.cfg.FrameTimeout > 0
}

// endReceiving records err, for which nothing more can be received, and returns it.
func (s *Stream) endReceiving(err error) error {
	s.ended = err
	s.in.release()
	_ = s.in.booked.Set(0)
	return err
}

// discardFrame discards the frame that nextFrame returned last, if that was not done.
func (s *Stream) discardFrame() {
	if s.pending == 0 {
		return
	}
	end := s.pending
	s.startFrame()
	s.in.discard(end)
}

// startFrame resets the state of the frame that is read. The next bytes are those of a new frame.
func (s *Stream) startFrame() {
	s.pending = 0
	s.received = true
	s.began = time.Time{}
	s.skipped = 0
	s.scan = framescan.Scanner{}
}

// discardBlanks discards white space and comments before a frame, so that they take no memory. A slash at the end stays:
// it may begin a comment.
func (s *Stream) discardBlanks() {
	if s.scan.Depth > 0 {
		return
	}
	n := len(s.in.data)
	if s.scan.BehindSlash() {
		n--
	}
	s.skipped += n
	s.scan.Pos -= n
	s.in.discard(n)
}

// Close implements Conn. While the callback of the read loop runs (Fast), Close returns before the ByteStream is closed: a
// goroutine closes it when the callback has returned.
func (s *Stream) Close() error {
	if !s.fd.SetClosed() {
		return nil
	}
	s.cancel(net.ErrClosed)
	defer s.in.booked.Close()
	defer s.writeEnd.Close()
	defer s.readEnd.Close()
	if s.fd.InLoop() { // Close of the descriptor waits for the callback, which may be the caller
		go func() { _ = s.closeBytes() }()
		return nil
	}
	return s.closeBytes()
}

// closeBytes closes the ByteStream and wakes the conn if it is parked.
func (s *Stream) closeBytes() error {
	err := s.bytes.Close()
	s.fd.WakeParked()
	return err
}
