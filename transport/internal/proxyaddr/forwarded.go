package proxyaddr

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Trusted reports whether addr is in one of the networks of trusted proxies.
func Trusted(proxies []netip.Prefix, addr net.Addr) bool {
	if len(proxies) == 0 || addr == nil {
		return false
	}
	ip, ok := parse(addr.String())
	return ok && isIn(proxies, ip)
}

func isIn(proxies []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// Forwarded returns the client's address for a request that came from peer with these X-Forwarded-For headers:
// the last address in them that is no trusted proxy. Addresses before that one are what the client said, and
// are not read. When peer is no trusted proxy, or there is no header, the address is peer; when all
// addresses are trusted proxies, it is the first one. The error names an address that cannot be parsed.
func Forwarded(headers []string, proxies []netip.Prefix, peer net.Addr) (net.Addr, error) {
	if len(headers) == 0 || !Trusted(proxies, peer) {
		return peer, nil
	}
	var client netip.Addr
	for _, header := range slices.Backward(headers) {
		for _, text := range slices.Backward(strings.Split(header, ",")) {
			ip, ok := parse(strings.Trim(text, " \t"))
			if !ok {
				return peer, fmt.Errorf("malformed X-Forwarded-For header from the trusted proxy %s: %q is no address", peer, text)
			}
			if client = ip; !isIn(proxies, ip) {
				return ipAddr(client), nil
			}
		}
	}
	return ipAddr(client), nil
}

func ipAddr(ip netip.Addr) net.Addr { return &net.IPAddr{IP: ip.AsSlice()} }

// parse reads an address with or without a port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1],
// [2001:db8::1]:80.
func parse(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		if port, failed := netip.ParseAddrPort(text); failed == nil {
			addr, err = port.Addr(), nil
		} else if bare, ok := strings.CutPrefix(text, "["); ok {
			if bare, ok = strings.CutSuffix(bare, "]"); ok {
				addr, err = netip.ParseAddr(bare)
			}
		}
	}
	return addr.Unmap().WithZone(""), err == nil
}
