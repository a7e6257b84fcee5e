// Package targets makes transports of the URLs that people write, and of the sockets that systemd
// passes.
package targets

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/transport/websocket"
)

// Schemes are what a URL may begin with.
const Schemes = "unix, tls, tcp, quic, https, http, wss and ws"

// Identity is who a client is, and whom it believes. What a URL's transport has no use for is an
// error, or somebody would take it for proven.
type Identity struct {
	PKI           string          // a directory that `steer pki`, or a daemon, has made; CA, Cert and Key are looked for there
	CA, Cert, Key string          // PEM files
	Pin           string          // the fingerprint of the daemon's certificate, instead of a CA
	Claim         transport.Claim // a password or a token
}

// Parse returns a Dialer for a URL, such as tls://host:7443, https://host/, unix:///absolute/path or
// unix:relative/path. A plain path is a UNIX socket too.
func Parse(target string, id Identity) (transport.Dialer, error) {
	if strings.ContainsAny(target, "/.") && !strings.Contains(target, ":") {
		return &unix.Transport{Path: target}, nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("%q is no URL: %w", target, err)
	}
	switch u.Scheme {
	case "unix":
		return parseUnix(u, target)
	case "tcp", "tls", "quic", "ws", "wss", "http", "https":
		return parseNet(u, target, id)
	case "":
		return nil, fmt.Errorf("%q has no scheme; write unix:///path/of/the/socket, or tls://host:port", target)
	}
	return nil, fmt.Errorf("there is no transport %q; there are %s", u.Scheme, Schemes)
}

func parseUnix(u *url.URL, target string) (transport.Dialer, error) {
	path := u.Path
	if u.Opaque != "" {
		var err error
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return nil, fmt.Errorf("%q is no URL: %w", target, err)
		}
	}
	switch {
	case u.RawQuery != "" || u.Fragment != "": // a part of the file's name, most likely
		return nil, fmt.Errorf("%q has a ? or # in it; write them as %%3F and %%23", target)
	case path == "" || u.Host != "":
		return nil, fmt.Errorf("%q names no socket; write unix:///absolute/path or unix:relative/path", target)
	}
	return &unix.Transport{Path: path}, nil
}

// parseNet makes the dialer of an address, and of who the client is there.
func parseNet(u *url.URL, target string, id Identity) (transport.Dialer, error) {
	address, err := addressOf(u, target)
	if err != nil {
		return nil, err
	}
	web := u.Scheme == "ws" || u.Scheme == "wss" || u.Scheme == "http" || u.Scheme == "https"
	secure := u.Scheme == "tls" || u.Scheme == "quic" || u.Scheme == "wss" || u.Scheme == "https"
	if !secure && id.hasTLS() {
		return nil, fmt.Errorf("there are no certificates in %s://; write %s://, or leave out --pki, --ca, --cert, --key and --pin",
			u.Scheme, map[string]string{"tcp": "tls", "ws": "wss", "http": "https"}[u.Scheme])
	}
	if !web && id.claims() {
		return nil, fmt.Errorf("there are no passwords and no tokens in %s://; a certificate says there who you are (--pki, or --cert and --key)", u.Scheme)
	}
	if !web && u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("%q has a path, and there is nothing to choose behind a port", target)
	}
	var client *tlsconf.Client
	if secure {
		if client, err = id.client(); err != nil {
			return nil, err
		}
	}
	path := cmp.Or(u.EscapedPath(), "/")
	switch u.Scheme {
	case "quic":
		return &quic.Transport{Address: address, Client: client}, nil
	case "ws", "wss":
		return &websocket.Transport{Address: address, Path: path, Client: client, Credentials: id.Claim}, nil
	case "http", "https":
		return &http.Transport{Address: address, Path: path, Client: client, Credentials: id.Claim}, nil
	}
	return &tcp.Transport{Address: address, Client: client}, nil
}

// addressOf returns the host and port of a URL.
func addressOf(u *url.URL, target string) (string, error) {
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "ws": "80", "https": "443", "wss": "443"}[u.Scheme])
	switch {
	case u.User != nil:
		return "", errors.New("the URL has a name or a password in it, where others can see it; use --user, or --token-file")
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("%q has a ? or # in it, which mean nothing here", target)
	case u.Hostname() == "":
		return "", fmt.Errorf("%q names no host; write %s://host:port", target, u.Scheme)
	case port == "":
		return "", fmt.Errorf("%q names no port; write %s://host:port", target, u.Scheme)
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

func (id Identity) hasTLS() bool {
	return id.PKI != "" || id.CA != "" || id.Cert != "" || id.Key != "" || id.Pin != ""
}

func (id Identity) claims() bool { return id.Claim.User != "" || id.Claim.Token != "" }

// client returns the side of TLS that the client is on.
func (id Identity) client() (*tlsconf.Client, error) {
	client := &tlsconf.Client{}
	if id.PKI != "" {
		client = tlsconf.ClientFrom(id.PKI, "")
	}
	switch {
	case (id.Cert == "") != (id.Key == ""):
		return nil, errors.New("--cert and --key belong together")
	case id.Cert != "":
		client.Cert, client.Key = id.Cert, id.Key
	}
	client.CA = cmp.Or(id.CA, client.CA)
	client.Pin = id.Pin
	return client, nil
}

// UnixURL is the URL of a UNIX socket.
func UnixURL(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return "unix://" + (&url.URL{Path: path}).EscapedPath()
}

// DefaultDir is where a daemon without a configuration file keeps its socket, and where steer looks
// for it: $XDG_RUNTIME_DIR/rudderpost, or /run/rudderpost for root.
func DefaultDir() (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "rudderpost"), nil
	}
	if os.Geteuid() == 0 {
		return "/run/rudderpost", nil
	}
	return "", errors.New("XDG_RUNTIME_DIR is not set, so there is no place for a socket of your own")
}

// DefaultSocket is the path of that socket.
func DefaultSocket() (string, error) {
	dir, err := DefaultDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "control.sock"), nil
}
