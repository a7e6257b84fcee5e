// Package webhost decides which Host headers a listener over HTTP accepts. The listener and the check of a
// configuration change use the same rule.
package webhost

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Allowed reports whether a request with this Host header may be served. An IP address is allowed, because a DNS name
// cannot be rebound to it. The name localhost is allowed where the request came over loopback. Every other name must be
// in allowed, with or without its port; the comparison ignores case.
func Allowed(host string, allowed []string, loopback bool) bool {
	name := WithoutPort(host)
	if IsAddress(name) || loopback && strings.EqualFold(name, "localhost") {
		return true
	}
	return slices.ContainsFunc(allowed, func(a string) bool {
		return strings.EqualFold(host, a) || strings.EqualFold(name, a)
	})
}

// IsAddress reports whether a host is an IP address, with or without the brackets of a URL.
func IsAddress(host string) bool {
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil
}

// IsLoopback reports whether a host without a port is localhost or a loopback address (127.0.0.0/8, ::1).
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || host == "localhost"
}

// WithoutPort returns a host without its port. A host that has no port, or cannot be read, is returned as it is.
func WithoutPort(host string) string {
	if strings.IndexByte(host, ':') < 0 { // an error of SplitHostPort costs as much as the rest of the check
		return host
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
