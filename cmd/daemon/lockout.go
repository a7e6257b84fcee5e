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

// checkLockOut refuses a prepared transaction after which its caller could not send the same command again over the
// same kind of transport. It also refuses one whose new listeners do not accept a connection. It runs before the
// commit, and blocks for as long as the probes of the new listeners take. It accepts a transaction that did not come
// over a conn (SIGHUP), because its caller can edit the file.
func (tx *transaction) checkLockOut(ctx context.Context) error {
	call, ok := mgr.CallOf(ctx)
	if !ok || call.Via == nil {
		return nil
	}
	policy, err := access.NewPolicy(tx.next.creds.access)
	if err != nil {
		return err
	}
	rerr := &wire.Error{Code: wire.CodeConflict, Word: "locked-out"}
	for i, ln := range tx.next.listeners {
		if !slices.Contains(tx.newListeners, ln) {
			continue
		}
		if err := ln.probe(ctx); err != nil {
			rerr.Text = fmt.Sprintf("listen %d (%s) does not accept connections: %v; correct it, or say force to use it all the same", i+1, ln.config.Transport, err)
			rerr.Fields = []wire.Field{{Pointer: fmt.Sprintf("/%s/listen/%d", section, i), Text: err.Error()}}
			return rerr
		}
	}
	if size, limit := call.FrameSize(), int(tx.next.Limits.MaxFrame); size > limit {
		rerr.Fields = append(rerr.Fields, wire.Field{Pointer: "/" + section + "/limits/max-frame",
			Text: fmt.Sprintf("max-frame: the request that makes this change has %d bytes, and the limit would be %d", size, limit)})
		return tx.lockOutError(call, rerr)
	}
	for i, l := range tx.next.Listen {
		if l.peerTransport() != call.Peer.Transport {
			continue
		}
		err := tx.checkReconnect(call, policy, l, tx.next.listeners[i])
		if err == nil {
			return nil
		}
		rerr.Fields = append(rerr.Fields, wire.Field{Pointer: fmt.Sprintf("/%s/listen/%d", section, i), Text: fmt.Sprintf("listen %d: %v", i+1, err)})
	}
	if len(rerr.Fields) == 0 {
		rerr.Fields = append(rerr.Fields, wire.Field{Pointer: "/" + section + "/listen", Text: "there would be no listener for " + call.Peer.Transport})
	}
	return tx.lockOutError(call, rerr)
}

// lockOutError sets the text of rerr from its fields.
func (tx *transaction) lockOutError(call *mgr.Call, rerr *wire.Error) error {
	reasons := make([]string, len(rerr.Fields))
	for i, f := range rerr.Fields {
		reasons[i] = f.Text
	}
	rerr.Text = fmt.Sprintf("%s could not change the configuration again over %s after that (%s); say force to do it all the same",
		call.Peer, call.Peer.Transport, strings.Join(reasons, "; "))
	return rerr
}

// checkReconnect returns why the caller could not send its command again through a prepared listener of its kind, or
// nil. l is the next configuration of ln.
func (tx *transaction) checkReconnect(call *mgr.Call, policy *access.Policy, l *Listen, ln *listener) error {
	peer := call.Peer
	isNew := slices.Contains(tx.newListeners, ln)
	if l.Transport == "unix" && l.Socket == "" {
		if err := checkReconnectUnix(peer, l, isNew); err != nil {
			return err
		}
	}
	if err := checkReconnectTarget(peer, l); err != nil {
		return err
	}
	if host := serverName(peer.Target); host != "" && ln.tls != nil && isNew {
		if err := ln.tls.CheckServerName(host); err != nil {
			return err
		}
	}
	var err error
	if peer.Creds, err = tx.credentialsAt(peer, l, ln); err != nil {
		return err
	}
	repeated := &mgr.Call{
		Name: call.Name, Command: call.Command, Arguments: call.Arguments, Peer: peer,
		Via: &mgr.ListenerConfig{Name: ln.Addr().String(), MaxAccess: l.maxAccess()},
	}
	if err := repeated.TooHigh(); err != nil {
		return fmt.Errorf("max-access: %w", err)
	}
	if err := policy.Authorize(repeated); err != nil {
		return err
	}
	if err := tx.d.manager.CheckLimits(call, tx.next.Limits.managerLimits(), ln.Listener); err != nil {
		return fmt.Errorf("limits.%w", err)
	}
	return nil
}

// credentialsAt returns the credentials of the caller that a prepared listener would accept. If there are none, the
// error says why.
func (tx *transaction) credentialsAt(peer transport.Peer, l *Listen, ln *listener) ([]transport.Credential, error) {
	if l.Transport == "tcp" && l.Insecure {
		return []transport.Credential{tcp.Anonymous(l.Anonymous)}, nil
	}
	var creds []transport.Credential
	var lastErr error
	for _, cred := range peer.Creds {
		if err := tx.checkCredential(peer, cred, l, ln); err != nil {
			lastErr = err
			continue
		}
		creds = append(creds, cred)
	}
	if len(creds) > 0 {
		lastErr = nil
	}
	return creds, lastErr
}

// checkCredential returns why a prepared listener would not accept a credential of the caller again, or nil.
func (tx *transaction) checkCredential(peer transport.Peer, cred transport.Credential, l *Listen, ln *listener) error {
	switch kind, _, _ := strings.Cut(cred.Subject(), ":"); kind {
	case "user":
		if tx.next.Auth.UsersFile == "" {
			return fmt.Errorf("auth.users-file: the new configuration has none, so %s is not valid any more", cred.Subject())
		}
	case "token":
		if tx.next.Auth.TokensFile == "" {
			return fmt.Errorf("auth.tokens-file: the new configuration has none, so %s is not valid any more", cred.Subject())
		}
	case "cert", "cert-sha256":
		if ln.tls == nil || len(l.AllowOrigins) > 0 {
			return errors.New("the listener would not ask for certificates")
		}
		return ln.tls.AcceptsPeer(peer)
	}
	return nil
}

// checkReconnectTarget returns why a prepared listener would refuse the host or origin that the caller sends, or nil.
func checkReconnectTarget(peer transport.Peer, l *Listen) error {
	target := peer.Target
	if target == nil || l.Transport != "http" && l.Transport != "websocket" {
		return nil
	}
	remote, _ := peer.Addr.(*net.TCPAddr)
	if target.Host != "" && !webhost.Allowed(target.Host, l.AllowHosts, remote != nil && remote.IP.IsLoopback()) {
		return fmt.Errorf("allow-hosts: the caller uses the host name %q, which would not be allowed", target.Host)
	}
	if target.Origin != "" && !slices.Contains(l.AllowOrigins, target.Origin) {
		return fmt.Errorf("allow-origins: the caller is a page of the origin %q, which would not be allowed", target.Origin)
	}
	return nil
}

// serverName returns the name that the caller compares with the daemon's certificate. It is empty if it is not known.
func serverName(target *transport.Target) string {
	if target == nil {
		return ""
	}
	return strings.Trim(webhost.WithoutPort(target.Host), "[]")
}

// checkReconnectUnix returns why the kernel would not let the caller connect to a prepared UNIX socket, or nil. It
// checks the mode of the socket and, if the socket is new, the folders above it.
func checkReconnectUnix(peer transport.Peer, l *Listen, isNew bool) error {
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
	for dir := filepath.Dir(l.path); isNew; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && !permits(info, info.Mode(), cred, 0o1) {
			return fmt.Errorf("path: %s has mode %04o, with which uid %d cannot enter it", dir, info.Mode().Perm(), cred.UID)
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return nil
}

// permits reports whether a file with this owner, group and mode gives a user a right: r (4), w (2) or x (1).
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
