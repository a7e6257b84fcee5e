package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/transport/websocket"
)

// open opens all control sockets and says, one line each, where they are and how a client proves
// there who it is.
func (d *daemon) open(ctx context.Context, stdout io.Writer) error {
	passed := targets.TakePassed()
	for i, l := range d.config.Listen {
		t, err := d.transport(l, passed)
		if err == nil {
			var socket way
			if socket.Socket, err = d.manager.Open(ctx, &mgr.Endpoint{Transport: t, MaxAccess: l.ceiling()}); err == nil {
				socket.url = l.url(socket.Addr())
				d.sockets = append(d.sockets, socket)
				fmt.Fprintf(stdout, "listening on %s%s\n", socket.url, d.proof(l, socket.url))
				continue
			}
		}
		return fmt.Errorf("listen %d (%s): %w", i+1, l.Transport, err)
	}
	if rest := passed.Rest(); len(rest) > 0 {
		return fmt.Errorf("sockets were passed that no [[listen]] asks for: %s; name each in a socket key", strings.Join(rest, ", "))
	}
	if d.id.first != "" {
		fmt.Fprintf(stdout, "a first token, which may read until tomorrow, is in %s\n", d.id.first)
	}
	return nil
}

// transport makes what a [[listen]] describes.
func (d *daemon) transport(l *Listen, passed targets.Passed) (transport.Transport, error) {
	var listener net.Listener
	var err error
	if l.Socket != "" && l.Transport != "quic" {
		if listener, err = passed.Listener(l.Socket); err != nil {
			return nil, err
		}
	}
	var (
		maxConns     = d.config.Limits.MaxConns
		maxFrame     = int(d.config.Limits.MaxFrame)
		idle         = time.Duration(d.config.Limits.IdleTimeout)
		frameTimeout = time.Duration(d.config.Limits.FrameTimeout)
		secure       = d.id.tls(l, d.log)
	)
	switch l.Transport {
	case "tcp":
		return &tcp.Transport{
			Address: l.Address, Listener: listener, TLS: secure, Insecure: l.Insecure, Anonymous: l.Anonymous,
			MaxFrame: maxFrame, Idle: idle, FrameTimeout: frameTimeout, OnRefused: d.door.refused,
		}, nil
	case "websocket":
		return &websocket.Transport{
			Address: l.Address, Listener: listener, TLS: secure, Insecure: l.Insecure,
			AllowHosts: l.AllowHosts, AllowOrigins: l.AllowOrigins, Authenticator: d.id.auth,
			MaxFrame: maxFrame, Idle: idle, FrameTimeout: frameTimeout, MaxConns: maxConns, OnRefused: d.door.refused,
		}, nil
	case "http":
		return &http.Transport{
			Address: l.Address, Listener: listener, TLS: secure, Insecure: l.Insecure,
			AllowHosts: l.AllowHosts, Authenticator: d.id.auth,
			MaxFrame: maxFrame, Idle: idle, FrameTimeout: frameTimeout, MaxConns: maxConns, OnRefused: d.door.refused,
		}, nil
	case "quic":
		t := &quic.Transport{
			Address: l.Address, TLS: secure,
			MaxFrame: maxFrame, Idle: idle, FrameTimeout: frameTimeout, MaxConns: maxConns, OnRefused: d.door.refused,
		}
		if d.config.StateDir != "" {
			t.Keys = filepath.Join(d.config.StateDir, "quic.keys")
		}
		if l.Socket != "" {
			t.PacketConn, err = passed.PacketConn(l.Socket)
		}
		return t, err
	}
	return &unix.Transport{
		Path: l.path, Mode: l.permissions, Group: l.Group, Listener: listener,
		MaxFrame: maxFrame, Idle: idle, FrameTimeout: frameTimeout,
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
func (d *daemon) proof(l *Listen, url string) string {
	switch {
	case l.Transport == "unix":
		mode := ""
		if l.Mode != "" {
			mode = ", mode " + l.Mode
		}
		return fmt.Sprintf("%s; the kernel tells who a client is, and %s may command%s: steer -s %s whoami", mode, d.owners(), l.groupToo(d.config), word(url))
	case l.Anonymous != "":
		return fmt.Sprintf("; whoever can connect passes for %s, up to %s: steer -s %s whoami", l.Anonymous, l.ceiling(), url)
	case l.PKI == "auto" && len(l.AllowOrigins) == 0:
		return fmt.Sprintf("; by certificate: steer -s %s --pki %s whoami%s", url, word(d.id.pki), d.orSecret(l))
	case l.Insecure:
		return "; by " + d.secretFlag() + ": steer -s " + url + " " + d.secretFlags() + " whoami"
	case l.ClientCA != "" && len(l.AllowOrigins) == 0:
		return fmt.Sprintf("; by a certificate of %s: steer -s %s --ca FILE --cert FILE --key FILE whoami%s", l.ClientCA, url, d.orSecret(l))
	}
	ca := "FILE"
	if l.PKI == "auto" {
		ca = word(filepath.Join(d.id.pki, tlsconf.CACert))
	}
	return "; by " + d.secretFlag() + ": steer -s " + url + " --ca " + ca + " " + d.secretFlags() + " whoami"
}

// groupToo says that the group of the socket may read, where its members may connect.
func (l *Listen) groupToo(c *Config) string {
	if !c.Access.Owner || l.permissions&0o020 == 0 {
		return ""
	}
	return ", and members of its group may read"
}

// orSecret says that a password or token will do too, where that is so.
func (d *daemon) orSecret(l *Listen) string {
	if d.id.auth == nil || l.Transport != "http" && l.Transport != "websocket" {
		return ""
	}
	return "; or by " + d.secretFlag() + ": " + d.secretFlags()
}

func (d *daemon) secretFlag() string {
	switch {
	case d.config.Auth.TokensFile == "":
		return "password"
	case d.config.Auth.UsersFile == "":
		return "token"
	}
	return "password or token"
}

func (d *daemon) secretFlags() string {
	if d.config.Auth.TokensFile != "" {
		return "--token-file " + cmp.Or(word(d.id.first), "FILE")
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
