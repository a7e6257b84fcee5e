package transport

import (
	"context"
	"os"
	"sync"
	"syscall"
)

// A Watch waits for many conns at once whose peers are quiet. It has one goroutine for all of them, so that a quiet
// conn costs no stack: 10 000 of them have 3 KiB of memory each and not 5.7. All methods may be called from any
// goroutine.
type Watch struct {
	set *os.File // where the kernel puts what is ready; it can itself be waited for
	raw syscall.RawConn

	mu    sync.Mutex
	posts []post // by number
	free  []int  // numbers of empty posts
}

// A post is where a stream is watched, and who is called then.
type post struct {
	stream *Stream
	wake   func()
}

// NewWatch returns a Watch, which needs Run. The error is errors.ErrUnsupported where the system has none;
// it may be out of descriptors, too.
func NewWatch() (*Watch, error) {
	set, err := newSet()
	if err != nil {
		return nil, err
	}
	raw, err := set.SyscallConn()
	if err != nil {
		_ = set.Close()
		return nil, err
	}
	return &Watch{set: set, raw: raw}, nil
}

// Run watches until ctx ends, and then wakes all. It is called once.
func (w *Watch) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, w.end)()
	_ = w.raw.Read(w.wakeReady)
	w.end()
}

// Add has wake called once: when the peer of conn has said something or hung up, when somebody closes conn, or when
// Run ends. Until then nobody may receive from conn or hear it. It reports whether that is so: not where conn has no
// descriptor that can be watched, has something that can be received already, is closed, or Run has ended.
func (w *Watch) Add(conn Conn, wake func()) bool {
	watchable, ok := conn.(interface {
		beWatched(w *Watch, wake func()) bool
	})
	return ok && watchable.beWatched(w, wake)
}

// Wake calls the wake function of conn now, if w watches conn. It does not block.
func (w *Watch) Wake(conn Conn) {
	watchable, ok := conn.(interface {
		watchedBy(w *Watch) (*Stream, bool)
	})
	if !ok {
		return
	}
	if s, watched := watchable.watchedBy(w); watched {
		if wake := w.relieve(s); wake != nil {
			wake()
		}
	}
}

// watchedBy returns the Stream of a conn, and whether w has ever watched it.
func (s *Stream) watchedBy(w *Watch) (*Stream, bool) { return s, s.watch.Load() == w }

// beWatched is Add. Until the descriptor is armed no other goroutine touches the Stream; from then on it belongs to
// the goroutine that wake starts.
//
// A Close that ran before w had the Stream found nothing to wake. So beWatched checks closed once more when w has it:
// either Close finds the Stream in w, or beWatched finds it closed.
func (s *Stream) beWatched(w *Watch, wake func()) bool {
	s.consume()
	if s.in.raw == nil || len(s.in.data) > 0 {
		return false
	}
	s.readEnd.follow(context.Background()) // w does it for all
	s.watch.Store(w)
	return w.add(s, wake) && w.addedOpen(s)
}

// addedOpen reports whether a Stream that was added has been open since, or has been woken.
func (w *Watch) addedOpen(s *Stream) bool {
	return !s.closed.Load() || w.relieve(s) == nil // nil: Close has called wake
}

// add gives the Stream a post and arms its descriptor. Both happen under one lock: an event of the previous holder of
// the post can then not empty it between the two, which would arm the descriptor for an empty post.
func (w *Watch) add(s *Stream, wake func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	number := w.takeLocked(s, wake)
	var bad error
	err := s.in.raw.Control(func(fd uintptr) { bad = w.arm(int(fd), number) })
	if err != nil || bad != nil {
		w.leave(number)
		return false
	}
	return true
}

// takeLocked gives the Stream a post and returns its number. The caller holds w.mu.
func (w *Watch) takeLocked(s *Stream, wake func()) (number int) {
	if n := len(w.free); n > 0 {
		number, w.free = w.free[n-1], w.free[:n-1]
	} else {
		number = len(w.posts)
		w.posts = append(w.posts, post{})
	}
	w.posts[number] = post{s, wake}
	s.post = number
	return number
}

// relieve takes a stream from its post, and returns who is to be woken; nil: it is at none.
func (w *Watch) relieve(s *Stream) (wake func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.post >= len(w.posts) || w.posts[s.post].stream != s {
		return nil
	}
	return w.leave(s.post)
}

// leave empties a post. w.mu is held.
func (w *Watch) leave(number int) (wake func()) {
	wake = w.posts[number].wake
	w.posts[number] = post{}
	w.free = append(w.free, number)
	return wake
}

// wakeAt wakes who is at a post. The kernel may mean who was there before: to wake somebody in vain does no harm.
func (w *Watch) wakeAt(number int) {
	w.mu.Lock()
	var wake func()
	if w.posts[number].stream != nil {
		wake = w.leave(number)
	}
	w.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// end wakes all. The set is closed first: a conn that add adds later is refused, and one that was added before is woken.
func (w *Watch) end() {
	_ = w.set.Close()
	w.mu.Lock()
	n := len(w.posts)
	w.mu.Unlock()
	for number := range n {
		w.wakeAt(number)
	}
}

// closeBytes closes the stream of bytes, and wakes who has the Stream watched: the kernel does not tell of that.
func (s *Stream) closeBytes() error {
	err := s.bytes.Close()
	if w := s.watch.Load(); w != nil {
		if wake := w.relieve(s); wake != nil {
			wake()
		}
	}
	return err
}
