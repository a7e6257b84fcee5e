// Package targets makes transports of the URLs that people write.
package targets

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
)

// Parse returns a Dialer for a URL: unix:///absolute/path or unix:relative/path. A plain path is a
// UNIX socket too.
func Parse(target string) (transport.Dialer, error) {
	if strings.ContainsAny(target, "/.") && !strings.Contains(target, ":") {
		return &unix.Transport{Path: target}, nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("%q is no URL: %w", target, err)
	}
	switch u.Scheme {
	case "unix":
		path := u.Path
		if u.Opaque != "" {
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
	case "":
		return nil, fmt.Errorf("%q has no scheme; write unix:///path/of/the/socket", target)
	}
	return nil, fmt.Errorf("there is no transport %q; write unix:///path/of/the/socket", u.Scheme)
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
