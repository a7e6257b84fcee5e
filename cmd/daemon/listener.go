package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/internal/webhost"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
)

// A listener is one open listener of the daemon: the listener of the manager, with the configuration, the socket and
// the TLS settings that it was made from.
type listener struct {
	*mgr.Listener
	config            *Listen
	configFingerprint string            // of its configuration; a different one needs a new listener
	tcp               *net.TCPListener  // the socket, for the next listener at this address; nil: it is not TCP
	deferred          *deferredListener // the listener that the transport has; nil: it is not TCP
	tls               *tlsconf.Server   // nil: no TLS
	sharesSocket      bool              // it has a duplicate of the socket of the listener that it replaces
	url               string

	superseded []supersededListener // the listeners that it has replaced; the loop owns it
}

// start lets the listener accept connections.
func (ln *listener) start() {
	ln.Serve()
	if ln.deferred != nil {
		ln.deferred.start()
	}
}

// close closes the listener. Its conns stay open.
func (ln *listener) close() {
	if ln.deferred != nil {
		_ = ln.deferred.Close() // it closes the socket before it unblocks Accept, so Accept returns no connection
	}
	if ln.Listener != nil {
		_ = ln.Close()
	}
	if ln.tcp != nil {
		_ = ln.tcp.Close()
	}
}

// stopAccepting closes the socket. A client in a handshake has handshakeGrace to finish. The conns stay open.
func (ln *listener) stopAccepting() {
	if ln.deferred == nil {
		ln.close()
		return
	}
	ln.deferred.closeSocket()
	_ = ln.tcp.Close()
	time.AfterFunc(handshakeGrace, ln.close)
}

// drain closes the listener, and drains its conns and those of the listeners that it has superseded. It returns their
// number. After timeout, the remaining conns are closed. A client whose handshake is not complete is disconnected.
func (ln *listener) drain(timeout time.Duration) (conns int) {
	ln.close()
	conns = ln.Drain(timeout)
	for _, e := range ln.superseded {
		if l := e.listener.Value(); l != nil {
			conns += l.Drain(timeout)
		}
	}
	return conns
}

// handshakeGrace is the time for handshakes after stopAccepting. It is longer than the timeout of a handshake.
const handshakeGrace = 10 * time.Second

// prepareListeners opens the new listeners, keeps those that do not change, and prepares the changed ones beside the
// old ones.
func (tx *transaction) prepareListeners(ctx context.Context) error {
	open := tx.matchOpenListeners()
	for i, l := range tx.next.Listen {
		ln, err := tx.prepareListener(ctx, l, open[i])
		if err != nil {
			return fmt.Errorf("listen %d (%s): %w", i+1, l.Transport, err)
		}
		tx.next.listeners = append(tx.next.listeners, ln)
	}
	if unused := tx.d.sockets.CloseUnused(); len(unused) > 0 {
		return fmt.Errorf("no [[listen]] uses these passed sockets: %s; name each in a socket key", strings.Join(unused, ", "))
	}
	return nil
}

// matchOpenListeners returns, for each [[listen]], the open listener at the same address, or nil. Listeners at any port
// have no fixed address. For them it prefers a listener with the same configFingerprint, which then stays open, and
// among several the one with the same index. Otherwise it takes one at the same host, so that a changed listener keeps
// its port.
func (tx *transaction) matchOpenListeners() []*listener {
	open := make([]*listener, len(tx.next.Listen))
	find := func(matches func(*Listen, *listener) bool) {
		for i, l := range tx.next.Listen {
			candidate := func(ln *listener) bool { return open[i] == nil && matches(l, ln) && !slices.Contains(open, ln) }
			if i < len(tx.old.listeners) && candidate(tx.old.listeners[i]) {
				open[i] = tx.old.listeners[i]
			} else if n := slices.IndexFunc(tx.old.listeners, candidate); n >= 0 {
				open[i] = tx.old.listeners[n]
			}
		}
	}
	find(func(l *Listen, ln *listener) bool { return ln.config.bindKey() == l.bindKey() })
	find(func(l *Listen, ln *listener) bool {
		return l.hasAnyPort() && ln.configFingerprint == l.configFingerprint(tx.next.Config)
	})
	find(func(l *Listen, ln *listener) bool {
		return l.hasAnyPort() && l.Transport != "quic" && ln.tcp != nil && ln.config.Address == l.Address
	})
	return open
}

// prepareListener returns the listener for a [[listen]]: old, which is open at its address, or a new one.
func (tx *transaction) prepareListener(ctx context.Context, l *Listen, old *listener) (*listener, error) {
	configFingerprint := l.configFingerprint(tx.next.Config)
	if old == nil {
		return tx.openListener(ctx, l, configFingerprint, nil)
	}
	switch {
	case old.configFingerprint == configFingerprint:
		tx.onCommit = append(tx.onCommit, func() { old.update(l, configFingerprint) })
		return old, nil
	case old.tcp != nil:
		ln, err := tx.openListener(ctx, l, configFingerprint, old.tcp)
		if err == nil {
			ln.supersede(old)
			tx.superseded = append(tx.superseded, old)
			tx.onCommit = append(tx.onCommit, ln.capSuperseded)
		}
		return ln, err
	case l.Transport == "unix" && l.Socket == "" && old.configFingerprint == l.configFingerprintWithMode(old.config.Mode, tx.next.Config):
		oldMode := old.config.permissions
		tx.precommit = append(tx.precommit, func() error {
			if err := os.Chmod(l.path, l.permissions); err != nil {
				return fmt.Errorf("listen (%s): mode: %w", l.Transport, err)
			}
			tx.rollback = append(tx.rollback, func() { _ = os.Chmod(l.path, oldMode) })
			return nil
		})
		tx.onCommit = append(tx.onCommit, func() { old.update(l, configFingerprint) })
		return old, nil
	default:
		return nil, fmt.Errorf("this listener cannot be changed while it is open; give it another address than %s, or restart the daemon", l.bindKey())
	}
}

// openListener opens a listener, at a duplicate of tcp or, if tcp is nil, at a new socket. It does not accept yet.
func (tx *transaction) openListener(ctx context.Context, l *Listen, configFingerprint string, tcp *net.TCPListener) (*listener, error) {
	ln := &listener{config: l, configFingerprint: configFingerprint}
	var err error
	switch {
	case l.Transport == "unix" || l.Transport == "quic":
	case tcp != nil:
		ln.sharesSocket = true
		ln.tcp, err = duplicate(tcp)
	case l.Socket != "":
		ln.tcp, err = passedTCP(tx.d.sockets, l.Socket)
	default:
		ln.tcp, err = listenTCP(ctx, l)
	}
	if err == nil && ln.tcp != nil {
		var shared *net.TCPListener
		if shared, err = duplicate(ln.tcp); err == nil {
			ln.deferred = newDeferredListener(shared)
		}
	}
	if err != nil {
		ln.close()
		return nil, err
	}
	ln.tls = tx.next.creds.serverTLS(l, tx.next.trust, tx.d.log)
	t, err := tx.newTransport(l, ln)
	if err == nil {
		ln.Listener, err = tx.d.manager.Listen(ctx, &mgr.ListenerConfig{Transport: t, MaxAccess: l.maxAccess()})
	}
	if err != nil {
		ln.close()
		return nil, err
	}
	ln.url = l.url(ln.Addr())
	tx.newListeners = append(tx.newListeners, ln)
	return ln, nil
}

// update applies the new configuration to a listener that stays open. It runs on the loop.
func (ln *listener) update(l *Listen, configFingerprint string) {
	ln.config, ln.configFingerprint = l, configFingerprint
	ln.SetMaxAccess(l.maxAccess())
	ln.capSuperseded()
}

// configFingerprint returns a text with all settings that an open listener cannot change. max-access is not among them.
func (l *Listen) configFingerprint(c *Config) string { return l.configFingerprintWithMode(l.Mode, c) }

func (l *Listen) configFingerprintWithMode(mode string, c *Config) string {
	own := *l
	own.Path, own.MaxAccess, own.Mode, own.permissions, own.proxies = "", "", mode, 0, nil // path is derived from Path
	dependencies := ""
	if l.Transport == "http" || l.Transport == "websocket" {
		dependencies += strconv.FormatBool(c.Auth.any()) + strconv.Itoa(c.Limits.MaxConns) // whether it accepts passwords, and how many conns
	}
	if l.PKI == "auto" || l.Transport == "quic" {
		dependencies += c.StateDir // the directory with its keys
	}
	return fmt.Sprintf("%#v %s", own, dependencies)
}

func listenTCP(ctx context.Context, l *Listen) (*net.TCPListener, error) {
	if l.Insecure {
		if host, _, err := net.SplitHostPort(l.Address); err != nil || !webhost.IsLoopback(host) {
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
		return nil, fmt.Errorf("the passed socket %q is a %s socket, and a TCP socket is needed", name, opened.Addr().Network())
	}
	return tcp, nil
}

// duplicate returns another descriptor of a socket. The kernel gives a connection to the first Accept on any
// descriptor. So a new listener can replace an old one, and the socket accepts all the time.
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

// A deferredListener accepts no connection before start. A listener whose transaction is not committed must take no
// client from the open one, which shares its socket.
type deferredListener struct {
	*net.TCPListener
	started      chan struct{}
	start        func()
	socketClosed atomic.Bool
	closed       chan struct{}
	endAccept    func()

	mu    sync.Mutex
	early []net.Conn // probe has accepted these before start; Accept returns them first
}

func newDeferredListener(l *net.TCPListener) *deferredListener {
	d := &deferredListener{TCPListener: l, started: make(chan struct{}), closed: make(chan struct{})}
	d.start = sync.OnceFunc(func() { close(d.started) })
	d.endAccept = sync.OnceFunc(func() { close(d.closed) })
	return d
}

// closeSocket closes the socket. Accept then blocks until Close.
func (d *deferredListener) closeSocket() {
	d.socketClosed.Store(true)
	_ = d.TCPListener.Close()
}

// Accept implements net.Listener.
func (d *deferredListener) Accept() (net.Conn, error) {
	<-d.started
	d.mu.Lock()
	if n := len(d.early); n > 0 {
		c := d.early[0]
		d.early = d.early[1:]
		d.mu.Unlock()
		return c, nil
	}
	d.mu.Unlock()
	c, err := d.TCPListener.Accept()
	if err != nil && d.socketClosed.Load() {
		<-d.closed
	}
	return c, err
}

// Close implements net.Listener.
func (d *deferredListener) Close() error {
	err := d.TCPListener.Close()
	if d.socketClosed.Load() {
		err = nil
	}
	d.endAccept()
	d.mu.Lock()
	for _, c := range d.early {
		_ = c.Close()
	}
	d.early = nil
	d.mu.Unlock()
	d.start()
	return err
}

// A supersededListener is a listener that another one has replaced. Its conns stay open. When a successor lowers
// max-access, the limit is lowered for these conns too. It is never raised, because they were authenticated under older
// rules. The weak pointer does not keep the listener in memory; its conns do.
type supersededListener struct {
	listener  weak.Pointer[mgr.Listener]
	maxAccess mgr.Level // 0: no limit
}

// supersede records that ln has replaced old, and the listeners that old had replaced. Those without conns are left
// out.
func (ln *listener) supersede(old *listener) {
	ln.superseded = slices.DeleteFunc(slices.Clone(old.superseded), func(e supersededListener) bool { return e.listener.Value() == nil })
	ln.superseded = append(ln.superseded, supersededListener{weak.Make(old.Listener), old.config.maxAccess()})
}

// capSuperseded lowers the limit of the replaced listeners to that of ln.
func (ln *listener) capSuperseded() {
	maxAccess := ln.config.maxAccess()
	for i := range ln.superseded {
		e := &ln.superseded[i]
		if maxAccess == 0 || e.maxAccess != 0 && e.maxAccess <= maxAccess {
			continue
		}
		e.maxAccess = maxAccess
		if l := e.listener.Value(); l != nil {
			l.SetMaxAccess(maxAccess)
		}
	}
}

// probeTimeout bounds one probe of a listener.
const probeTimeout = time.Second

// probe opens and closes one connection to a prepared listener that has no clients yet. The error says why a client on
// this machine could not connect. It blocks for at most probeTimeout. A listener that takes over the socket of its
// predecessor is not probed: that socket accepts connections now.
func (ln *listener) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	addr := ln.Addr()
	switch {
	case ln.sharesSocket:
		return nil
	case ln.deferred != nil:
		return ln.deferred.probe(ctx)
	case addr.Network() == "udp":
		return probeQUIC(ctx, addr)
	}
	conn, err := (&unix.Transport{Path: addr.String()}).Dial(ctx)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

// local returns an address at which this machine can connect to a listener. For one at all addresses it is localhost or
// 127.0.0.1; the dialer tries localhost with IPv6 and IPv4.
func local(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return addr.String()
	} else if ip.To4() == nil {
		return net.JoinHostPort("localhost", port)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// probe connects to the socket and accepts that connection, so that the transport never sees it. Other clients that are
// accepted meanwhile are kept for Accept.
func (d *deferredListener) probe(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", local(d.Addr()))
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := d.SetDeadline(deadline); err != nil {
		return err
	}
	defer func() { _ = d.SetDeadline(time.Time{}) }()
	for {
		c, err := d.TCPListener.Accept()
		if err != nil {
			return fmt.Errorf("the connection to %s was not accepted: %w", d.Addr(), err)
		}
		if c.RemoteAddr().String() == conn.LocalAddr().String() {
			return c.Close()
		}
		d.mu.Lock()
		d.early = append(d.early, c)
		d.mu.Unlock()
	}
}

// probeQUIC sends a packet with a version of QUIC that does not exist. A listener answers with a Version Negotiation
// packet (RFC 9000, section 6), before it allocates memory for a connection.
func probeQUIC(ctx context.Context, addr net.Addr) error {
	conn, err := net.Dial("udp", local(addr))
	if err != nil {
		return err
	}
	defer conn.Close()
	packet := make([]byte, 1200)
	packet[0] = 0xc0                                   // a long header
	binary.BigEndian.PutUint32(packet[1:], 0x1a2a3a4a) // reserved to force version negotiation
	packet[5], packet[14] = 8, 8                       // the lengths of both connection ids
	_, _ = rand.Read(packet[6:14])
	_, _ = rand.Read(packet[15:23])
	answer := make([]byte, 1500)
	for ctx.Err() == nil {
		_ = conn.SetDeadline(time.Now().Add(probeTimeout / 4))
		if _, err = conn.Write(packet); err != nil {
			return err
		}
		n, readErr := conn.Read(answer)
		if err = readErr; err == nil && n > 5 && answer[0]&0x80 != 0 && binary.BigEndian.Uint32(answer[1:]) == 0 {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("no answer from udp %s", addr), err)
}
