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

// transport makes what a [[listen]] describes, at a TCP socket that is open already.
func (c *change) transport(l *Listen, w *way) (transport.Transport, error) {
	var listener net.Listener
	if w.gated != nil {
		listener = w.gated
	}
	var auth transport.Authenticator // without files none, so that nobody is asked for what nobody can have
	if c.next.id.auth != nil {
		auth = &c.d.auth
	}
	var err error
	var (
		maxConns = c.next.Limits.MaxConns
		secure   = w.tls
		refused  = c.d.door.refused
	)
	switch l.Transport {
	case "tcp":
		return &tcp.Transport{
			Address: l.Address, Listener: listener, TLS: secure, Insecure: l.Insecure, Anonymous: l.Anonymous,
			Limits: c.d.frameLimits, OnRefused: refused,
			TrustedProxies: l.proxies, ProxyProtocol: l.ProxyProtocol,
		}, nil
	case "websocket":
		return &websocket.Transport{
			Address: l.Address, Listener: listener, TLS: secure, Insecure: l.Insecure,
			AllowHosts: l.AllowHosts, AllowOrigins: l.AllowOrigins, Authenticator: auth,
			Limits: c.d.frameLimits, MaxConns: maxConns, OnRefused: refused,
			TrustedProxies: l.proxies, ProxyProtocol: l.ProxyProtocol,
		}, nil
	case "http":
		return &http.Transport{
			Address: l.Address, Listener: listener, TLS: secure, Insecure: l.Insecure,
			AllowHosts: l.AllowHosts, Authenticator: auth,
			Limits: c.d.frameLimits, KeepAliveFunc: c.d.keepAlive, MaxConns: maxConns, OnRefused: refused,
			TrustedProxies: l.proxies, ProxyProtocol: l.ProxyProtocol,
		}, nil
	case "quic":
		t := &quic.Transport{
			Address: l.Address, TLS: secure,
			Limits: c.d.frameLimits, MaxConns: maxConns, OnRefused: refused,
		}
		if c.next.StateDir != "" {
			t.Keys, t.TrustOwners = filepath.Join(c.next.StateDir, "quic.keys"), c.next.trust
		}
		if l.Socket != "" {
			t.PacketConn, err = c.d.passed.PacketConn(l.Socket)
		}
		return t, err
	}
	if l.Socket != "" {
		if listener, err = c.d.passed.Listener(l.Socket); err != nil {
			return nil, err
		}
	}
	return &unix.Transport{
		Path: l.path, Mode: l.permissions, Group: l.Group, Listener: listener, TrustOwners: c.next.trust,
		Limits: c.d.frameLimits,
	}, nil
}

// url is where clients find a listener.
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

// proof says how a client proves at a listener who it is, with the command line that does it.
func (c *change) proof(l *Listen, url string) string {
	switch {
	case l.Transport == "unix":
		mode := ""
		if l.Mode != "" {
			mode = ", mode " + l.Mode
		}
		return fmt.Sprintf("%s; the kernel tells who a client is, and %s may command%s: steer -s %s whoami", mode, c.owners(), l.groupToo(c.next.Config), word(url))
	case l.Anonymous != "":
		return fmt.Sprintf("; whoever can connect passes for %s, up to %s: steer -s %s whoami", l.Anonymous, l.ceiling(), url)
	case l.PKI == "auto" && len(l.AllowOrigins) == 0:
		return fmt.Sprintf("; by certificate: steer -s %s --pki %s whoami%s", url, word(c.next.id.pki), c.orSecret(l))
	case l.Insecure:
		return "; by " + c.secretFlag() + ": steer -s " + url + " " + c.secretFlags() + " whoami"
	case l.ClientCA != "" && len(l.AllowOrigins) == 0:
		return fmt.Sprintf("; by a certificate of %s: steer -s %s --ca FILE --cert FILE --key FILE whoami%s", l.ClientCA, url, c.orSecret(l))
	}
	ca := "FILE"
	if l.PKI == "auto" {
		ca = word(filepath.Join(c.next.id.pki, tlsconf.CACert))
	}
	return "; by " + c.secretFlag() + ": steer -s " + url + " --ca " + ca + " " + c.secretFlags() + " whoami"
}

// groupToo says that the group of the socket may read, where its members may connect.
func (l *Listen) groupToo(c *Config) string {
	if !c.Access.Owner || l.permissions&0o020 == 0 {
		return ""
	}
	return ", and members of its group may read"
}

// orSecret says that a password or token will do too, where that is so.
func (c *change) orSecret(l *Listen) string {
	if c.next.id.auth == nil || l.Transport != "http" && l.Transport != "websocket" {
		return ""
	}
	return "; or by " + c.secretFlag() + ": " + c.secretFlags()
}

func (c *change) secretFlag() string {
	switch {
	case c.next.Auth.TokensFile == "":
		return "password"
	case c.next.Auth.UsersFile == "":
		return "token"
	}
	return "password or token"
}

func (c *change) secretFlags() string {
	if c.next.Auth.TokensFile != "" {
		return "--token-file " + cmp.Or(word(c.next.id.first), "FILE")
	}
	return "--user NAME"
}

// word writes a path as one word of a shell's command line.
func word(path string) string {
	if !strings.ContainsAny(path, " \t\n\"'\\$`&|;<>()*?[]#~!{}") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// hosts are the names by which clients may look for a listener. One at all addresses has the machine's
// name and all that it has.
func (l *Listen) hosts() []string {
	hosts := slices.Clone(l.AllowHosts)
	switch host, _, err := net.SplitHostPort(l.Address); {
	case err != nil: // a socket that is passed: who knows
	case host == "" || host == "0.0.0.0" || host == "::":
		hosts = append(hosts, machine()...)
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

// machine returns the names and addresses of this machine, as far as it knows them.
func machine() (hosts []string) {
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
