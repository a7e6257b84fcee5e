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

// dialTimeout is the longest time that a client waits for the answer of the daemon.
const dialTimeout = 5 * time.Second

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

func (t *Transport) dial(ctx context.Context) (*stream, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	dir, dirStat, err := openDir(t.Dir, unix.O_PATH) // the client may not be allowed to read it
	if err != nil {
		return nil, explain(err)
	}
	defer dir.Close()
	connect, st, err := openFIFO(dir, connectName, unix.O_WRONLY)
	if err != nil {
		return nil, explain(err)
	}
	defer connect.Close()
	if st.Uid != dirStat.Uid {
		return nil, fmt.Errorf("%s belongs to user %d and the directory to user %d; this is not the daemon", connectName, st.Uid, dirStat.Uid)
	}
	return handshake(ctx, dir, connect, st)
}

// handshake makes the two FIFOs, writes their name into connect, and waits for the answer of the daemon.
func handshake(ctx context.Context, dir, connect *os.File, st unix.Stat_t) (*stream, error) {
	upMode, downMode := uint32(0o600), uint32(0o600)
	if us := uint32(os.Geteuid()); st.Uid != 0 && st.Uid != us {
		upMode, downMode = 0o644, 0o622 // the daemon is another user; further users do not know the name
	}
	name := rand.Text()
	// The client holds the other ends open until the daemon has opened them; otherwise the FIFOs look closed.
	upHeld, out, err := makeEnd(dir, name+up, upMode, unix.O_WRONLY)
	downHeld, in, failed := makeEnd(dir, name+down, downMode, unix.O_RDONLY)
	s := &stream{in: in, out: out, peer: User{UID: st.Uid}}
	if err = errors.Join(err, failed); err == nil {
		_, err = s.out.WriteString(greeting(st))
	}
	if err == nil {
		err = s.waitForAnswer(ctx, connect, name)
	}
	_, _ = upHeld.Close(), downHeld.Close()
	if err != nil {
		_ = s.Close()
		remove(dir, name+up, name+down) // otherwise the daemon has removed them
		return nil, err
	}
	return s, nil
}

// makeEnd makes a FIFO. It returns one file with both ends open, and one with the end of the client.
func makeEnd(dir *os.File, name string, mode uint32, flags int) (held, ours *os.File, err error) {
	if held, _, err = makeFIFO(dir, name, mode, -1); err == nil {
		ours, _, err = openFIFO(dir, name, flags)
	}
	return held, ours, err
}

// waitForAnswer writes the name into connect and waits for the answer, a line feed.
func (s *stream) waitForAnswer(ctx context.Context, connect *os.File, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, errors.New("the daemon does not answer; its log or OnRefused may say why"))
	defer cancel()
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(expired)
		_ = connect.SetWriteDeadline(aLongTimeAgo)
		_ = s.in.SetReadDeadline(aLongTimeAgo)
	})
	_, err := connect.WriteString("\n" + name + "\n") // the first line feed ends an unfinished line of another client
	if err == nil {
		_, err = s.in.Read(make([]byte, 1))
	}
	if !stop() {
		<-expired
		return context.Cause(ctx)
	}
	return err
}

// explain adds to an error of Dial what the user can do.
func explain(err error) error {
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
