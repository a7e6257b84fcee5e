package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/internal/webhost"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"
)

// checkLockOut refuses a prepared change after which its caller could not give the same command again over the same kind
// of transport, and a change whose new listeners do not accept a connection. It runs before the commit, and blocks for as
// long as the probes of the new listeners take. A change that did not come over a conn (SIGHUP) is not checked: its caller
// can edit the file.
func (c *change) checkLockOut(ctx context.Context) error {
	call, ok := mgr.CallOf(ctx)
	if !ok || call.Via == nil {
		return nil
	}
	policy, err := access.NewPolicy(c.next.id.access)
	if err != nil {
		return err
	}
	bad := &wire.Error{Code: wire.CodeConflict, Word: "locked-out"}
	for i, w := range c.next.ways {
		if !slices.Contains(c.fresh, w) {
			continue
		}
		if err := w.probe(ctx); err != nil {
			bad.Text = fmt.Sprintf("listen %d (%s) does not accept connections: %v; correct it, or say force to use it all the same", i+1, w.listen.Transport, err)
			bad.Fields = []wire.Field{{Pointer: fmt.Sprintf("/%s/listen/%d", section, i), Text: err.Error()}}
			return bad
		}
	}
	if size, most := call.FrameSize(), int(c.next.Limits.MaxFrame); size > most {
		bad.Fields = append(bad.Fields, wire.Field{Pointer: "/" + section + "/limits/max-frame",
			Text: fmt.Sprintf("max-frame: the request that makes this change has %d bytes, and the limit would be %d", size, most)})
		return c.lockedOut(call, bad)
	}
	for i, l := range c.next.Listen {
		if l.kind() != call.Peer.Transport {
			continue
		}
		err := c.keepsOut(call, policy, l, c.next.ways[i])
		if err == nil {
			return nil
		}
		bad.Fields = append(bad.Fields, wire.Field{Pointer: fmt.Sprintf("/%s/listen/%d", section, i), Text: fmt.Sprintf("listen %d: %v", i+1, err)})
	}
	if len(bad.Fields) == 0 {
		bad.Fields = append(bad.Fields, wire.Field{Pointer: "/" + section + "/listen", Text: "there would be no listener for " + call.Peer.Transport})
	}
	return c.lockedOut(call, bad)
}

// lockedOut completes the error from its fields.
func (c *change) lockedOut(call *mgr.Call, bad *wire.Error) error {
	reasons := make([]string, len(bad.Fields))
	for i, f := range bad.Fields {
		reasons[i] = f.Text
	}
	bad.Text = fmt.Sprintf("%s could not change the configuration again over %s after that (%s); say force to do it all the same",
		call.Peer, call.Peer.Transport, strings.Join(reasons, "; "))
	return bad
}

// keepsOut returns why the caller could not give its command again through a prepared listener of its kind, or nil. l is
// what the next configuration says of w.
func (c *change) keepsOut(call *mgr.Call, policy *access.Policy, l *Listen, w *way) error {
	peer := call.Peer
	fresh := slices.Contains(c.fresh, w)
	if l.Transport == "unix" && l.Socket == "" {
		if err := keepsOutUnix(peer, l, fresh); err != nil {
			return err
		}
	}
	if err := keepsOutTarget(peer, l); err != nil {
		return err
	}
	if host := serverName(peer.Target); host != "" && w.tls != nil && fresh {
		if err := w.tls.CheckServerName(host); err != nil {
			return err
		}
	}
	var err error
	if peer.Creds, err = c.credsAt(peer, l, w); err != nil {
		return err
	}
	again := &mgr.Call{
		Name: call.Name, Command: call.Command, Arguments: call.Arguments, Peer: peer,
		Via: &mgr.ListenerConfig{Name: w.Addr().String(), MaxAccess: l.ceiling()},
	}
	if err := again.TooHigh(); err != nil {
		return fmt.Errorf("max-access: %w", err)
	}
	if err := policy.Authorize(again); err != nil {
		return err
	}
	if err := c.d.manager.CheckLimits(call, c.next.Limits.manager(), w.Listener); err != nil {
		return fmt.Errorf("limits.%w", err)
	}
	return nil
}

// credsAt returns the credentials that the caller can prove again at a prepared listener. The error says why there are
// none.
func (c *change) credsAt(peer transport.Peer, l *Listen, w *way) ([]transport.Credential, error) {
	if l.Transport == "tcp" && l.Insecure {
		return []transport.Credential{tcp.Anonymous(l.Anonymous)}, nil
	}
	var creds []transport.Credential
	var why error
	for _, cred := range peer.Creds {
		if err := c.unproven(peer, cred, l, w); err != nil {
			why = err
			continue
		}
		creds = append(creds, cred)
	}
	if len(creds) > 0 {
		why = nil
	}
	return creds, why
}

// unproven returns why the caller could not prove a credential again at a prepared listener, or nil.
func (c *change) unproven(peer transport.Peer, cred transport.Credential, l *Listen, w *way) error {
	switch kind, _, _ := strings.Cut(cred.Subject(), ":"); kind {
	case "user":
		if c.next.Auth.UsersFile == "" {
			return fmt.Errorf("auth.users-file: there would be none, and %s is in the one before", cred.Subject())
		}
	case "token":
		if c.next.Auth.TokensFile == "" {
			return fmt.Errorf("auth.tokens-file: there would be none, and %s is in the one before", cred.Subject())
		}
	case "cert", "cert-sha256":
		if w.tls == nil || len(l.AllowOrigins) > 0 {
			return errors.New("the listener would not ask for certificates")
		}
		return w.tls.AcceptsPeer(peer)
	}
	return nil
}

// keepsOutTarget returns why a prepared listener would refuse the names by which the caller addresses the daemon, or nil.
func keepsOutTarget(peer transport.Peer, l *Listen) error {
	target := peer.Target
	if target == nil || l.Transport != "http" && l.Transport != "websocket" {
		return nil
	}
	remote, _ := peer.Addr.(*net.TCPAddr)
	if target.Host != "" && !webhost.Allowed(target.Host, l.AllowHosts, remote != nil && remote.IP.IsLoopback()) {
		return fmt.Errorf("allow-hosts: the caller calls the daemon %q, and that name would not be allowed", target.Host)
	}
	if target.Origin != "" && !slices.Contains(l.AllowOrigins, target.Origin) {
		return fmt.Errorf("allow-origins: the caller is a page of %q, and that origin would not be allowed", target.Origin)
	}
	return nil
}

// serverName returns the name that the caller compares with the daemon's certificate; empty: it is not known.
func serverName(target *transport.Target) string {
	if target == nil {
		return ""
	}
	return strings.Trim(webhost.WithoutPort(target.Host), "[]")
}

// keepsOutUnix returns why the kernel would not let the caller connect to a prepared UNIX socket, or nil. It checks the
// mode of the socket and, where the socket is new, the folders above it.
func keepsOutUnix(peer transport.Peer, l *Listen, fresh bool) error {
	cred, ok := transport.CredAs[unix.Cred](peer)
	if !ok || cred.UID == 0 {
		return nil
	}
	info, err := os.Lstat(l.path)
	if err != nil {
		return err
	}
	if !permits(info, l.permissions, cred, 0o2) {
		return fmt.Errorf("mode: %s would have mode %04o, with which uid %d cannot connect", l.path, l.permissions, cred.UID)
	}
	for dir := filepath.Dir(l.path); fresh; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && !permits(info, info.Mode(), cred, 0o1) {
			return fmt.Errorf("path: %s has mode %04o, with which uid %d cannot enter it", dir, info.Mode().Perm(), cred.UID)
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return nil
}

// permits reports whether a file with this owner, this group and this mode gives a user one of the rights r (4), w (2),
// x (1).
func permits(info fs.FileInfo, mode fs.FileMode, cred unix.Cred, right fs.FileMode) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return true
	case stat.Uid == cred.UID:
		right <<= 6
	case slices.Contains(cred.Groups, stat.Gid):
		right <<= 3
	}
	return mode&right != 0
}
