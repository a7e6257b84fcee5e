// Package targets makes dialers from URLs, and listeners from the sockets that systemd passes. It also has the default
// path of the control socket.
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

// Schemes names the schemes that Parse accepts.
const Schemes = "unix, tls, tcp, quic, https, http, wss and ws"

// ClientConfig is how a client authenticates itself, and which daemons it trusts. Parse refuses a setting that the
// transport of the URL does not use, because the user would rely on it.
type ClientConfig struct {
	PKI           string          // a directory made by `steer pki` or a daemon, with the CA, a certificate and its key
	CA, Cert, Key string          // PEM files
	Pin           string          // the fingerprint of the daemon's certificate, in place of a CA
	Claim         transport.Claim // a password or a token
}

// Parse returns a Dialer for a URL, such as tls://host:7443, https://host/, unix:///absolute/path or
// unix:relative/path. target may also be the plain path of a UNIX socket. Parse reads no files.
func Parse(target string, id ClientConfig) (transport.Dialer, error) {
	if strings.ContainsAny(target, "/.") && !strings.Contains(target, ":") {
		return &unix.Transport{Path: target}, nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("%q is not a URL: %w", target, err)
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
			return nil, fmt.Errorf("%q is not a URL: %w", target, err)
		}
	}
	switch {
	case u.RawQuery != "" || u.Fragment != "": // probably a part of the file name
		return nil, fmt.Errorf("%q has a ? or # in it; write them as %%3F and %%23", target)
	case path == "" || u.Host != "":
		return nil, fmt.Errorf("%q names no socket; write unix:///absolute/path or unix:relative/path", target)
	}
	return &unix.Transport{Path: path}, nil
}

// parseNet returns the dialer for a URL with a host.
func parseNet(u *url.URL, target string, id ClientConfig) (transport.Dialer, error) {
	address, err := hostPort(u, target)
	if err != nil {
		return nil, err
	}
	hasClaims := u.Scheme == "ws" || u.Scheme == "wss" || u.Scheme == "http" || u.Scheme == "https"
	hasTLS := u.Scheme == "tls" || u.Scheme == "quic" || u.Scheme == "wss" || u.Scheme == "https"
	if !hasTLS && id.hasTLS() {
		return nil, fmt.Errorf("%s:// has no certificates; write %s://, or leave out --pki, --ca, --cert, --key and --pin",
			u.Scheme, map[string]string{"tcp": "tls", "ws": "wss", "http": "https"}[u.Scheme])
	}
	if !hasClaims && id.hasClaim() {
		return nil, fmt.Errorf("%s:// has no passwords and tokens; use a client certificate (--pki, or --cert and --key)", u.Scheme)
	}
	if !hasClaims && u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("%q has a path, and %s:// URLs have none", target, u.Scheme)
	}
	var client *tlsconf.Client
	if hasTLS {
		if client, err = id.tlsClient(); err != nil {
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

// hostPort returns the host and port of a URL, with the default port of HTTP.
func hostPort(u *url.URL, target string) (string, error) {
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "ws": "80", "https": "443", "wss": "443"}[u.Scheme])
	switch {
	case u.User != nil:
		return "", errors.New("the URL contains a name or a password, which other users can see; use --user or --token-file")
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("%q has a ? or # in it, which this URL cannot have", target)
	case u.Hostname() == "":
		return "", fmt.Errorf("%q names no host; write %s://host:port", target, u.Scheme)
	case port == "":
		return "", fmt.Errorf("%q names no port; write %s://host:port", target, u.Scheme)
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

func (id ClientConfig) hasTLS() bool {
	return id.PKI != "" || id.CA != "" || id.Cert != "" || id.Key != "" || id.Pin != ""
}

func (id ClientConfig) hasClaim() bool { return id.Claim.User != "" || id.Claim.Token != "" }

// tlsClient returns the client side of TLS.
func (id ClientConfig) tlsClient() (*tlsconf.Client, error) {
	client := &tlsconf.Client{}
	if id.PKI != "" {
		client = tlsconf.ClientFrom(id.PKI, "")
	}
	switch {
	case (id.Cert == "") != (id.Key == ""):
		return nil, errors.New("--cert and --key must be given together")
	case id.Cert != "":
		client.Cert, client.Key = id.Cert, id.Key
	}
	client.CA = cmp.Or(id.CA, client.CA)
	client.Pin = id.Pin
	return client, nil
}

// UnixURL returns the URL of a UNIX socket. A relative path is made absolute.
func UnixURL(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return "unix://" + (&url.URL{Path: path}).EscapedPath()
}

// DefaultDir returns the directory in which a daemon without a configuration file has its socket:
// $XDG_RUNTIME_DIR/rudderpost, or /run/rudderpost for root without that variable. steer uses the same default.
func DefaultDir() (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "rudderpost"), nil
	}
	if os.Geteuid() == 0 {
		return "/run/rudderpost", nil
	}
	return "", errors.New("XDG_RUNTIME_DIR is not set, so there is no place for a socket of your own")
}

// DefaultSocket returns the path of the socket in DefaultDir.
func DefaultSocket() (string, error) {
	dir, err := DefaultDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "control.sock"), nil
}
