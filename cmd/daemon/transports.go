package main

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/transport/websocket"
)

// newTransport returns the transport for a [[listen]]. A TCP transport gets the socket that is already open.
func (tx *transaction) newTransport(l *Listen, ln *listener) (transport.Transport, error) {
	var listener net.Listener
	if ln.deferred != nil {
		listener = ln.deferred
	}
	var auth transport.Authenticator // nil without files: the transport then asks for no password or token
	if tx.next.creds.auth != nil {
		auth = &tx.d.auth
	}
	var err error
	var (
		maxConns = tx.next.Limits.MaxConns
		secure   = ln.tls
		refused  = tx.d.refusals.onRefused
	)
	switch l.Transport {
	case "tcp":
		return &tcp.Transport{
			Address: l.Address, Listener: listener, TLS: secure, Insecure: l.Insecure, Anonymous: l.Anonymous,
			Limits: tx.d.frameLimits, OnRefused: refused,
			TrustedProxies: l.proxies, ProxyProtocol: l.ProxyProtocol,
		}, nil
	case "websocket":
		return &websocket.Transport{
			Address: l.Address, Listener: listener, TLS: secure, Insecure: l.Insecure,
			AllowHosts: l.AllowHosts, AllowOrigins: l.AllowOrigins, Authenticator: auth,
			Limits: tx.d.frameLimits, MaxConns: maxConns, OnRefused: refused,
			TrustedProxies: l.proxies, ProxyProtocol: l.ProxyProtocol,
		}, nil
	case "http":
		return &http.Transport{
			Address: l.Address, Listener: listener, TLS: secure, Insecure: l.Insecure,
			AllowHosts: l.AllowHosts, Authenticator: auth,
			Limits: tx.d.frameLimits, KeepAliveFunc: tx.d.keepAlive, MaxConns: maxConns, OnRefused: refused,
			TrustedProxies: l.proxies, ProxyProtocol: l.ProxyProtocol,
		}, nil
	case "quic":
		t := &quic.Transport{
			Address: l.Address, TLS: secure,
			Limits: tx.d.frameLimits, MaxConns: maxConns, OnRefused: refused,
		}
		if tx.next.StateDir != "" {
			t.Keys, t.TrustOwners = filepath.Join(tx.next.StateDir, "quic.keys"), tx.next.trust
		}
		if l.Socket != "" {
			t.PacketConn, err = tx.d.sockets.PacketConn(l.Socket)
		}
		return t, err
	}
	if l.Socket != "" {
		if listener, err = tx.d.sockets.Listener(l.Socket); err != nil {
			return nil, err
		}
	}
	return &unix.Transport{
		Path: l.path, Mode: l.permissions, Group: l.Group, Listener: listener, TrustOwners: tx.next.trust,
		Limits: tx.d.frameLimits,
	}, nil
}

// url returns the URL at which clients reach a listener.
func (l *Listen) url(addr net.Addr) string {
	scheme := l.Transport
	switch {
	case l.Transport == "unix":
		return targets.UnixURL(addr.String())
	case l.Transport == "tcp" && !l.Insecure:
		scheme = "tls"
	case l.Transport == "websocket" && l.Insecure:
		scheme = "ws"
	case l.Transport == "websocket":
		scheme = "wss"
	case l.Transport == "http" && !l.Insecure:
		scheme = "https"
	}
	return scheme + "://" + addr.String()
}

// connectHint returns a hint for the operator: how clients authenticate at a listener, with a command line of steer.
func (tx *transaction) connectHint(l *Listen, url string) string {
	switch {
	case l.Transport == "unix":
		mode := ""
		if l.Mode != "" {
			mode = ", mode " + l.Mode
		}
		return fmt.Sprintf("%s; the kernel identifies clients, and %s may send commands%s: steer -s %s whoami", mode, tx.ownerNames(), l.groupHint(tx.next.Config), shellWord(url))
	case l.Anonymous != "":
		return fmt.Sprintf("; every client has the role %s, up to %s: steer -s %s whoami", l.Anonymous, l.maxAccess(), url)
	case l.PKI == "auto" && len(l.AllowOrigins) == 0:
		return fmt.Sprintf("; by certificate: steer -s %s --pki %s whoami%s", url, shellWord(tx.next.creds.pki), tx.secretHint(l))
	case l.Insecure:
		return "; by " + tx.secretNames() + ": steer -s " + url + " " + tx.secretFlags() + " whoami"
	case l.ClientCA != "" && len(l.AllowOrigins) == 0:
		return fmt.Sprintf("; by a certificate of %s: steer -s %s --ca FILE --cert FILE --key FILE whoami%s", l.ClientCA, url, tx.secretHint(l))
	}
	ca := "FILE"
	if l.PKI == "auto" {
		ca = shellWord(filepath.Join(tx.next.creds.pki, tlsconf.CACert))
	}
	return "; by " + tx.secretNames() + ": steer -s " + url + " --ca " + ca + " " + tx.secretFlags() + " whoami"
}

// groupHint says that members of the socket's group may read, if they may connect.
func (l *Listen) groupHint(c *Config) string {
	if !c.Access.Owner || l.permissions&0o020 == 0 {
		return ""
	}
	return ", and members of its group may read"
}

// secretHint says that a password or a token is also possible, or returns "".
func (tx *transaction) secretHint(l *Listen) string {
	if tx.next.creds.auth == nil || l.Transport != "http" && l.Transport != "websocket" {
		return ""
	}
	return "; or by " + tx.secretNames() + ": " + tx.secretFlags()
}

func (tx *transaction) secretNames() string {
	switch {
	case tx.next.Auth.TokensFile == "":
		return "password"
	case tx.next.Auth.UsersFile == "":
		return "token"
	}
	return "password or token"
}

func (tx *transaction) secretFlags() string {
	if tx.next.Auth.TokensFile != "" {
		return "--token-file " + cmp.Or(shellWord(tx.next.creds.bootstrapToken), "FILE")
	}
	return "--user NAME"
}

// shellWord returns a path as one word of a shell command line.
func shellWord(path string) string {
	if !strings.ContainsAny(path, " \t\n\"'\\$`&|;<>()*?[]#~!{}") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// certificateHosts returns the names and addresses for the server certificate of a listener. For a listener at all
// addresses these are the names and addresses of this machine.
func (l *Listen) certificateHosts() []string {
	hosts := slices.Clone(l.AllowHosts)
	switch host, _, err := net.SplitHostPort(l.Address); {
	case err != nil: // a socket from systemd: its address is not known here
	case host == "" || host == "0.0.0.0" || host == "::":
		hosts = append(hosts, localHosts()...)
	default:
		hosts = append(hosts, host)
	}
	for i, host := range hosts {
		if bare, _, err := net.SplitHostPort(host); err == nil {
			hosts[i] = bare
		}
	}
	return hosts
}

// localHosts returns the host name and the addresses of this machine, as far as they are known.
func localHosts() (hosts []string) {
	if name, err := os.Hostname(); err == nil && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-.") == "" {
		hosts = append(hosts, name)
	}
	addrs, _ := net.InterfaceAddrs()
	for _, addr := range addrs {
		if ip, ok := addr.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			hosts = append(hosts, ip.IP.String())
		}
	}
	return hosts
}
