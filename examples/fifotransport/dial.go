//go:build linux

package fifo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a client waits to be let in.
const patience = 5 * time.Second

// past is any time that is over.
var past = time.Unix(1, 0)

func (t *Transport) dial(ctx context.Context) (*stream, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	dir, dirStat, err := openDir(t.Dir, unix.O_PATH) // it need not be readable
	if err != nil {
		return nil, advise(err)
	}
	defer dir.Close()
	door, st, err := openFIFO(dir, knock, unix.O_WRONLY)
	if err != nil {
		return nil, advise(err)
	}
	defer door.Close()
	if st.Uid != dirStat.Uid {
		return nil, fmt.Errorf("%s belongs to user %d and the directory to user %d; this is not the daemon", knock, st.Uid, dirStat.Uid)
	}
	return letIn(ctx, dir, door, st)
}

// letIn makes two FIFOs, knocks, and waits until the daemon has opened them.
func letIn(ctx context.Context, dir, door *os.File, st unix.Stat_t) (*stream, error) {
	upMode, downMode := uint32(0o600), uint32(0o600)
	if us := uint32(os.Geteuid()); st.Uid != 0 && st.Uid != us {
		upMode, downMode = 0o644, 0o622 // the daemon is one of the others; who does not know the name is not
	}
	name := rand.Text()
	// Until the daemon has both FIFOs open we hold their other ends, lest they look abandoned.
	upHeld, out, err := makeEnd(dir, name+up, upMode, unix.O_WRONLY)
	downHeld, in, failed := makeEnd(dir, name+down, downMode, unix.O_RDONLY)
	s := &stream{in: in, out: out, peer: User{UID: st.Uid}}
	if err = errors.Join(err, failed); err == nil {
		_, err = s.out.WriteString(greeting(st))
	}
	if err == nil {
		err = s.wait(ctx, door, name)
	}
	_, _ = upHeld.Close(), downHeld.Close()
	if err != nil {
		_ = s.Close()
		remove(dir, name+up, name+down) // else the daemon has
		return nil, err
	}
	return s, nil
}

// makeEnd makes a FIFO and opens the end that is ours, and both.
func makeEnd(dir *os.File, name string, mode uint32, flags int) (held, ours *os.File, err error) {
	if held, _, err = makeFIFO(dir, name, mode, -1); err == nil {
		ours, _, err = openFIFO(dir, name, flags)
	}
	return held, ours, err
}

// wait knocks and waits for the answer, which is a line feed.
func (s *stream) wait(ctx context.Context, door *os.File, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the daemon does not answer; its log or OnRefused may say why"))
	defer cancel()
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(expired)
		_ = door.SetWriteDeadline(past)
		_ = s.in.SetReadDeadline(past)
	})
	_, err := door.WriteString("\n" + name + "\n") // the first one ends what a clumsy client has begun
	if err == nil {
		_, err = s.in.Read(make([]byte, 1))
	}
	if !stop() {
		<-expired
		return context.Cause(ctx)
	}
	return err
}

// advise adds to a failure to knock what can be done about it.
func advise(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; is the daemon running, and is this its directory?", err)
	case errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w; the daemon has ended without closing: start it again", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; the directory's mode keeps this user out", err)
	}
	return err
}
