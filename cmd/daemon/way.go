package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// A way is an open way in.
type way struct {
	*mgr.Listener
	listen *Listen
	made   string           // what it was made of: with another one it is another
	tcp    *net.TCPListener // the socket, for the next listener at this place; nil: it is none of TCP
	gated  *gatedListener   // what its transport has of the socket
	tls    *tlsconf.Server  // nil: no TLS
	shared bool             // the kernel's socket was open before, for the listener in whose place it is
	url    string

	earlier []earlier // whose place it has taken; on the loop
}

// open lets clients in.
func (w *way) open() {
	w.Serve()
	if w.gated != nil {
		w.gated.open()
	}
}

// close closes the way in. Its conns live on.
func (w *way) close() {
	if w.gated != nil {
		_ = w.gated.Close() // the socket before the gate: who waits there must take no client of another listener's
	}
	if w.Listener != nil {
		_ = w.Close()
	}
	if w.tcp != nil {
		_ = w.tcp.Close()
	}
}

// retire lets nobody in any more; who is on the way in has time to finish.
func (w *way) retire() {
	if w.gated == nil {
		w.close()
		return
	}
	w.gated.retire()
	_ = w.tcp.Close()
	time.AfterFunc(graceful, w.close)
}

// drain closes the listener, and drains its conns and those of the listeners that it has superseded. It returns their
// number. After timeout, the conns that are left are closed. A client whose handshake is not complete is disconnected.
func (w *way) drain(timeout time.Duration) (conns int) {
	w.close()
	conns = w.Drain(timeout)
	for _, e := range w.earlier {
		if socket := e.socket.Value(); socket != nil {
			conns += socket.Drain(timeout)
		}
	}
	return conns
}

// graceful is how long somebody may take who is on the way in: longer than a handshake may.
const graceful = 10 * time.Second

// prepareListeners opens the listeners that are new, finds those that stay as they are, and makes those
// that change ready beside the old ones.
func (c *change) prepareListeners(ctx context.Context) error {
	open := c.openWays()
	for i, l := range c.next.Listen {
		w, err := c.wayOf(ctx, l, open[i])
		if err != nil {
			return fmt.Errorf("listen %d (%s): %w", i+1, l.Transport, err)
		}
		c.next.ways = append(c.next.ways, w)
	}
	if rest := c.d.passed.CloseUnused(); len(rest) > 0 {
		return fmt.Errorf("sockets were passed that no [[listen]] asks for: %s; name each in a socket key", strings.Join(rest, ", "))
	}
	return nil
}

// openWays returns, for each [[listen]], the way that is open in its place, or nil. Of those at any port,
// whose places tell nothing, it is one that is as it was, so that it stays, and of several the one that
// is at the same number in the list; or else one at the same address, so that what changes keeps its port.
func (c *change) openWays() []*way {
	open := make([]*way, len(c.next.Listen))
	find := func(fits func(*Listen, *way) bool) {
		for i, l := range c.next.Listen {
			at := func(w *way) bool { return open[i] == nil && fits(l, w) && !slices.Contains(open, w) }
			if i < len(c.before.ways) && at(c.before.ways[i]) {
				open[i] = c.before.ways[i]
			} else if n := slices.IndexFunc(c.before.ways, at); n >= 0 {
				open[i] = c.before.ways[n]
			}
		}
	}
	find(func(l *Listen, w *way) bool { return w.listen.place() == l.place() })
	find(func(l *Listen, w *way) bool { return l.anyPort() && w.made == l.made(c.next.Config) })
	find(func(l *Listen, w *way) bool {
		return l.anyPort() && l.Transport != "quic" && w.tcp != nil && w.listen.Address == l.Address
	})
	return open
}

// wayOf returns the way that a [[listen]] describes: old, which is open in its place, or another.
func (c *change) wayOf(ctx context.Context, l *Listen, old *way) (*way, error) {
	made := l.made(c.next.Config)
	if old == nil {
		return c.listen(ctx, l, made, nil)
	}
	switch {
	case old.made == made:
		c.changed = append(c.changed, func() { old.become(l, made) })
		return old, nil
	case old.tcp != nil:
		w, err := c.listen(ctx, l, made, old.tcp)
		if err == nil {
			w.follow(old)
			c.superseded = append(c.superseded, old)
			c.changed = append(c.changed, w.lowerEarlier)
		}
		return w, err
	case l.Transport == "unix" && l.Socket == "" && old.made == l.madeWith(old.listen.Mode, c.next.Config):
		before := old.listen.permissions
		c.seen = append(c.seen, func() error {
			if err := os.Chmod(l.path, l.permissions); err != nil {
				return fmt.Errorf("listen (%s): mode: %w", l.Transport, err)
			}
			c.undo = append(c.undo, func() { _ = os.Chmod(l.path, before) })
			return nil
		})
		c.changed = append(c.changed, func() { old.become(l, made) })
		return old, nil
	default:
		return nil, fmt.Errorf("this listener cannot be changed where it is; give it another place than %s, or restart the daemon", l.place())
	}
}

// listen opens a listener, at a socket that is open already or at one of its own. It lets nobody in yet.
func (c *change) listen(ctx context.Context, l *Listen, made string, tcp *net.TCPListener) (*way, error) {
	w := &way{listen: l, made: made}
	var err error
	switch {
	case l.Transport == "unix" || l.Transport == "quic":
	case tcp != nil:
		w.shared = true
		w.tcp, err = duplicate(tcp)
	case l.Socket != "":
		w.tcp, err = passedTCP(c.d.passed, l.Socket)
	default:
		w.tcp, err = listenTCP(ctx, l)
	}
	if err == nil && w.tcp != nil {
		var shared *net.TCPListener
		if shared, err = duplicate(w.tcp); err == nil {
			w.gated = newGatedListener(shared)
		}
	}
	if err != nil {
		w.close()
		return nil, err
	}
	w.tls = c.next.id.tls(l, c.next.trust, c.d.log)
	t, err := c.transport(l, w)
	if err == nil {
		w.Listener, err = c.d.manager.Listen(ctx, &mgr.ListenerConfig{Transport: t, MaxAccess: l.ceiling()})
	}
	if err != nil {
		w.close()
		return nil, err
	}
	w.url = l.url(w.Addr())
	c.fresh = append(c.fresh, w)
	return w, nil
}

// become is what the configuration now says of a way that stays open.
func (w *way) become(l *Listen, made string) {
	w.listen, w.made = l, made
	w.SetMaxAccess(l.ceiling())
	w.lowerEarlier()
}

// made is all that a listener is made of, but for its ceiling, which may change while it is open.
func (l *Listen) made(c *Config) string { return l.madeWith(l.Mode, c) }

func (l *Listen) madeWith(mode string, c *Config) string {
	all := *l
	all.Path, all.MaxAccess, all.Mode, all.permissions, all.proxies = "", "", mode, 0, nil // path is what Path comes to
	beside := ""
	if l.Transport == "http" || l.Transport == "websocket" {
		beside += strconv.FormatBool(c.Auth.any()) + strconv.Itoa(c.Limits.MaxConns) // whether it asks for passwords, how many it takes
	}
	if l.PKI == "auto" || l.Transport == "quic" {
		beside += c.StateDir // where its keys are
	}
	return fmt.Sprintf("%#v %s", all, beside)
}

func listenTCP(ctx context.Context, l *Listen) (*net.TCPListener, error) {
	if l.Insecure {
		if host, _, err := net.SplitHostPort(l.Address); err != nil || !isLoopback(host) {
			return nil, fmt.Errorf("%s is not loopback, so TLS is needed there", l.Address)
		}
	}
	var lc net.ListenConfig
	opened, err := lc.Listen(ctx, "tcp", l.Address)
	if err != nil {
		return nil, err
	}
	return opened.(*net.TCPListener), nil
}

func passedTCP(passed targets.PassedSockets, name string) (*net.TCPListener, error) {
	opened, err := passed.Listener(name)
	if err != nil {
		return nil, err
	}
	tcp, ok := opened.(*net.TCPListener)
	if !ok {
		_ = opened.Close()
		return nil, fmt.Errorf("the socket %q that was passed is a %s socket, and a TCP socket is needed", name, opened.Addr().Network())
	}
	return tcp, nil
}

// duplicate returns another descriptor of a socket. Clients that connect are handed to whichever accepts
// first, so that one can take over from the other without a moment at which nobody listens.
func duplicate(tcp *net.TCPListener) (*net.TCPListener, error) {
	f, err := tcp.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	other, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return other.(*net.TCPListener), nil
}

// A gatedListener accepts nobody until it is opened: a listener that may never come into force takes no
// client from the one that is.
type gatedListener struct {
	*net.TCPListener
	opened  chan struct{}
	open    func()
	retired atomic.Bool
	closed  chan struct{}
	shut    func()

	mu    sync.Mutex
	early []net.Conn // accepted by probe before open; Accept returns them first
}

func newGatedListener(l *net.TCPListener) *gatedListener {
	g := &gatedListener{TCPListener: l, opened: make(chan struct{}), closed: make(chan struct{})}
	g.open = sync.OnceFunc(func() { close(g.opened) })
	g.shut = sync.OnceFunc(func() { close(g.closed) })
	return g
}

// retire closes the socket. Whoever accepts does not notice before Close.
func (g *gatedListener) retire() {
	g.retired.Store(true)
	_ = g.TCPListener.Close()
}

// Accept implements net.Listener.
func (g *gatedListener) Accept() (net.Conn, error) {
	<-g.opened
	g.mu.Lock()
	if n := len(g.early); n > 0 {
		c := g.early[0]
		g.early = g.early[1:]
		g.mu.Unlock()
		return c, nil
	}
	g.mu.Unlock()
	c, err := g.TCPListener.Accept()
	if err != nil && g.retired.Load() {
		<-g.closed
	}
	return c, err
}

// Close implements net.Listener.
func (g *gatedListener) Close() error {
	err := g.TCPListener.Close()
	if g.retired.Load() {
		err = nil
	}
	g.shut()
	g.mu.Lock()
	for _, c := range g.early {
		_ = c.Close()
	}
	g.early = nil
	g.mu.Unlock()
	g.open()
	return err
}
