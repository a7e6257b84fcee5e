package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A valve is a byte stream whose reads and writes wait until Close, which they report in a word of
// their own, as a QUIC stream's do.
type valve struct {
	script
	waiting chan struct{}
	closed  chan struct{}
	once    sync.Once
}

var errValve = errors.New("the valve is closed")

func newValve() *valve {
	return &valve{waiting: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (v *valve) wait() (int, error) {
	v.waiting <- struct{}{}
	<-v.closed
	return 0, errValve
}

func (v *valve) Read([]byte) (int, error)  { return v.wait() }
func (v *valve) Write([]byte) (int, error) { return v.wait() }
func (v *valve) Close() error              { v.once.Do(func() { close(v.closed) }); return nil }

func TestCloseIsErrClosedWhateverTheStreamSays(t *testing.T) {
	for name, call := range map[string]func(*Stream) error{
		"Receive": func(s *Stream) error { _, err := s.Receive(t.Context(), nil); return err },
		"Send":    func(s *Stream) error { return s.Send(t.Context(), []byte("{}")) },
	} {
		t.Run(name, func(t *testing.T) {
			v := newValve()
			s := NewStream(v, StreamConfig{})
			done := make(chan error)
			go func() { done <- call(s) }()
			<-v.waiting
			require.NoError(t, s.Close())
			require.ErrorIs(t, <-done, net.ErrClosed)
			require.ErrorIs(t, context.Cause(s.Context()), net.ErrClosed)
		})
	}
}

// A shutter is a stream that is closed while its deadline is set, and says so in words of its own, as
// an *os.File does.
type shutter struct {
	script
	s *Stream
}

func (c *shutter) SetReadDeadline(time.Time) error {
	_ = c.s.Close()
	return errors.New("use of closed file")
}

func TestCloseWhileTheDeadlineIsSet(t *testing.T) {
	c := &shutter{}
	c.s = NewStream(c, StreamConfig{})
	_, err := c.s.Receive(t.Context(), nil)
	require.Equal(t, net.ErrClosed, err)
}

func TestCloseAfterThePeerHasLeftIsErrClosed(t *testing.T) {
	s := NewStream(&script{}, StreamConfig{PeerClosed: func() bool { return true }})
	_, err := s.Receive(t.Context(), nil)
	require.ErrorIs(t, err, io.EOF)
	require.ErrorIs(t, s.Send(t.Context(), []byte("{}")), errPeerClosed)
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Send(t.Context(), []byte("{}")), net.ErrClosed)
	require.ErrorIs(t, context.Cause(s.Context()), errPeerClosed)
}

func TestCommentsBetweenFramesDoNotPileUp(t *testing.T) {
	// Each read ends with a slash, and what that means the next one tells.
	piece := []byte("* */" + strings.Repeat(" ", 10<<10) + "/")
	b := &script{pieces: [][]byte{[]byte("/")}}
	s := NewStream(b, StreamConfig{MaxFrame: 1 << 10})
	held := 0
	for range 1000 {
		b.pieces = append(b.pieces, bytes.Clone(piece))
		_, bad := s.scan.Scan(s.in.data)
		require.Nil(t, bad)
		s.discardBlanks()
		require.NoError(t, s.in.read())
		held = max(held, cap(s.in.data))
	}
	require.LessOrEqual(t, held, len(largeBuf{}))
}

func TestSlashBeforeAFrameKeepsItsOffset(t *testing.T) {
	_, err := receiveAll([]byte("{}  \n  /"), []byte("x"))
	require.Equal(t, &FrameError{Reason: BadComment, Byte: 'x', Offset: 5}, err)
	_, err = receiveAll([]byte("{} /"), []byte("* /"), []byte(" */ /"), []byte("/\n/"), []byte("x"))
	require.Equal(t, &FrameError{Reason: BadComment, Byte: 'x', Offset: 12}, err)
}

func TestMaxFrame(t *testing.T) {
	const limit = 100
	frame := func(n int) []byte { return []byte(`["` + string(bytes.Repeat([]byte("x"), n-4)) + `"]`) }
	receive := func(pieces ...[]byte) error {
		s := NewStream(&script{pieces: pieces}, StreamConfig{MaxFrame: limit})
		for {
			if _, err := s.Receive(t.Context(), nil); err != nil {
				return err
			}
		}
	}
	tooLarge := &FrameError{Reason: TooLarge, Limit: limit}
	space := bytes.Repeat([]byte(" "), 2*limit)
	comment := append(append([]byte("/*"), space...), "*/"...)
	require.Equal(t, io.EOF, receive(space, frame(limit), comment, frame(limit)))
	require.Equal(t, io.EOF, receive(append(space, append(frame(limit), frame(limit)...)...)))
	require.Equal(t, tooLarge, receive(frame(limit+1)))
	require.Equal(t, tooLarge, receive(frame(limit), frame(limit+1)))
	require.Equal(t, tooLarge, receive(bytewise(frame(limit+1))...))
	require.Equal(t, tooLarge, receive(frame(limit + 2)[:limit+1]))
	require.Equal(t, tooLarge, receive(append([]byte("["), comment...), []byte("]"))) // it costs memory
}

func TestSendCopiesOrHandsOver(t *testing.T) {
	for _, n := range []int{0, 1, maxCopied - 1, maxCopied, 3 * maxCopied} {
		b := &script{}
		s := NewStream(b, StreamConfig{})
		frame := bytes.Repeat([]byte("x"), n)
		require.NoError(t, s.Send(t.Context(), frame, []byte("y"), frame))
		require.Equal(t, string(frame)+"\ny\n"+string(frame)+"\n", b.sent.String())
	}
}

// A peer may take a frame, answer and leave before we have written the line feed behind it.
func TestSendToAPeerThatLeavesBeforeTheLineFeed(t *testing.T) {
	for _, n := range []int{2, 3 * maxCopied} {
		for missing := range 3 {
			b := &shortStream{room: n + 1 - missing}
			s := NewStream(b, StreamConfig{})
			err := s.Send(t.Context(), bytes.Repeat([]byte("x"), n))
			if missing < 2 {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, io.ErrShortWrite)
			}
			require.Equal(t, missing > 0, s.Context().Err() != nil)
		}
	}
}

// A shortStream takes so many bytes.
type shortStream struct {
	script
	room int
}

func (b *shortStream) Write(p []byte) (int, error) {
	n := min(len(p), b.room)
	b.room -= n
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// net.Pipe refuses a deadline once the peer has closed.
func TestEndOfNetPipe(t *testing.T) {
	here, there := net.Pipe()
	s := NewStream(there, StreamConfig{})
	require.NoError(t, here.Close())
	_, err := s.Receive(t.Context(), nil)
	require.Equal(t, io.EOF, err)
	require.NoError(t, s.Close())
	_, err = s.Receive(t.Context(), nil)
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestFrameErrorInWords(t *testing.T) {
	for want, err := range map[string]*FrameError{
		"frame is longer than 5 bytes":                                    {Reason: TooLarge, Limit: 5},
		`a frame cannot start with the byte 'x' (offset 2)`:               {Reason: BadFirstByte, Byte: 'x', Offset: 2},
		`a slash followed by 'x' starts no comment (offset 2)`:            {Reason: BadComment, Byte: 'x', Offset: 2},
		"timed out with 3 bytes of an unfinished frame":                   {Reason: TimedOut, Discarded: 3},
		"bad encoding (offset 2)":                                         {Reason: BadEncoding, Offset: 2},
		"a binary message is no command; send the JSON as a text message": {Reason: Binary},
		"the peer stopped after 3 bytes of a frame":                       {Reason: CutOff, Discarded: 3},
		"bad frame": {},
	} {
		require.EqualError(t, err, want)
		require.Equal(t, err.Reason == CutOff, errors.Is(err, io.EOF))
	}
}

// A stream that must be given a buffer to wait with is given a small one.
func TestWaitingTakesASip(t *testing.T) {
	v := newValve()
	s := NewStream(v, StreamConfig{})
	done := make(chan error)
	go func() { _, err := s.Receive(t.Context(), nil); done <- err }()
	<-v.waiting
	require.Equal(t, len(smallBuf{}), s.in.arraySize)
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-done, net.ErrClosed)
}

// An endless is a byte stream that begins with some bytes and repeats others for ever.
type endless struct {
	script
	begin, repeat string
}

func (e *endless) Read(p []byte) (int, error) {
	if e.begin != "" {
		n := copy(p, e.begin)
		e.begin = e.begin[n:]
		return n, nil
	}
	n := 0
	for len(p)-n >= len(e.repeat) {
		n += copy(p[n:], e.repeat)
	}
	return n, nil
}

func (e *endless) Write(p []byte) (int, error) { return len(p), nil }
func (e *endless) Close() error                { return nil }

func TestEndlessWhiteSpaceOrCommentBetweenFramesEndsTheConn(t *testing.T) {
	for name, b := range map[string]*endless{
		"spaces":                  {repeat: " "},
		"line feeds":              {repeat: "\n"},
		"comments":                {repeat: "# a comment\n"},
		"an unfinished comment":   {begin: "/*", repeat: "comment "},
		"a line comment":          {begin: "//", repeat: "comment "},
		"comments behind a frame": {begin: "{}", repeat: "/**/"},
	} {
		t.Run(name, func(t *testing.T) {
			frames := strings.Count(b.begin, "{}")
			s := NewStream(b, StreamConfig{MaxFrame: 64 << 10, Idle: -1, FrameTimeout: -1})
			for range frames {
				frame, err := s.Receive(t.Context(), nil)
				require.NoError(t, err)
				require.Equal(t, "{}", string(frame))
			}
			_, err := s.Receive(t.Context(), nil)
			require.Equal(t, &FrameError{Reason: NoFrame, Limit: 64 << 10}, err)
			_, again := s.Receive(t.Context(), nil)
			require.Equal(t, err, again)
			require.NoError(t, s.Close())
		})
	}
}

// The count begins anew behind each frame, so that a peer may send a line feed now and then for years.
func TestWhiteSpaceBetweenFramesIsCountedForEachFrame(t *testing.T) {
	a, b := net.Pipe()
	s := NewStream(a, StreamConfig{MaxFrame: 64 << 10, Idle: -1})
	go func() {
		for range 10 {
			_, _ = io.WriteString(b, strings.Repeat(" ", 60<<10)+"{}")
		}
	}()
	for range 10 {
		frame, err := s.Receive(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, "{}", string(frame))
	}
	require.NoError(t, s.Close())
	require.NoError(t, b.Close())
}
