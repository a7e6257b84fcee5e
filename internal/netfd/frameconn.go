package netfd

import "context"

// A Result is the reason for which FrameConn.ReadLoop returned.
type Result uint8

// The results.
const (
	Stopped Result = iota // onFrame returned false, or got an error
	Idle                  // the peer was silent for 30 ms
)

// FrameConn is the fast path of a conn of frames. transport.Stream.Fast returns one. A conn without a descriptor has one
// too: its read loop reads plainly, TryWriteFrames and TryWriteParts return errors.ErrUnsupported, and Park returns
// false.
//
// Only one goroutine at a time may read (ReadLoop and Receive of the conn), and only one may write (TryWriteFrames,
// TryWriteParts, WriteParts, and Send of the conn). Unpark may be called from any goroutine.
type FrameConn interface {
	// ReadLoop reads frames and calls onFrame for each from inside the read. When onFrame returns true, the loop waits
	// for the next frame without another read(2), which would only return EAGAIN.
	//
	// A frame is valid until onFrame returns or calls Receive of the conn. onFrame may call Receive with a context that
	// has ended: it returns the frames that were read together with the first. When no frame can follow, onFrame is
	// called once with the error that Receive would return, and ReadLoop returns Stopped. It also returns Stopped when
	// onFrame returns false; ReadLoop may then be called again.
	//
	// ReadLoop returns Idle when the peer has sent something and was then silent for 30 ms. The caller should then park
	// the conn, or call ReadLoop on a new goroutine, so that an idle conn does not keep a grown stack. After Idle the
	// next ReadLoop blocks until the peer sends something, it hangs up, or ctx ends. A hang-up right behind a frame may
	// be noticed only after the 30 ms.
	ReadLoop(ctx context.Context, onFrame func(frame []byte, err error) (more bool)) Result

	// TryWriteFrames writes frames without blocking. Only onFrame may call it, and should instead of Send: while onFrame
	// runs, no other goroutine can read. It returns true when all frames were written. When it returns false and no
	// error, the socket buffer is full: the frames belong to the conn until the next Send or WriteParts, which first
	// writes the rest. Send without frames writes the rest only.
	//
	// The error is errors.ErrUnsupported when nothing was written because only Send can write: outside onFrame, on a
	// conn without a descriptor, or behind a rest. Any other error ends the conn for writing.
	TryWriteFrames(frames ...[]byte) (written bool, err error)

	// TryWriteParts is TryWriteFrames for one frame in three parts, which it does not copy.
	TryWriteParts(head, body []byte, tail string) (written bool, err error)

	// WriteParts is Send for one frame in three parts, which it does not copy. It blocks until all is written or ctx
	// ends.
	WriteParts(ctx context.Context, head, body []byte, tail string) error

	// Park registers the conn in p and returns true, or returns false when the conn has no pollable descriptor, has
	// buffered bytes or is closed, or p has ended. wake is called exactly once when Park returns true: when the peer
	// sends something or hangs up, on Close, on Unpark, or when Run of p returns. Until then no goroutine may read from
	// the conn. wake must not block.
	Park(p *Poller, wake func()) bool

	// Unpark calls the wake function now if the conn is parked in p. It does nothing otherwise.
	Unpark(p *Poller)
}
