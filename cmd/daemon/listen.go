package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Listen is one control socket. Which keys it has depends on its transport.
type Listen struct {
	Transport string `toml:"transport" json:"transport"`
	Socket    string `toml:"socket,omitempty" json:"socket,omitempty"` // the name of one that systemd passes

	Path  string `toml:"path,omitempty" json:"path,omitempty"`
	Mode  string `toml:"mode,omitempty" json:"mode,omitempty"`
	Group string `toml:"group,omitempty" json:"group,omitempty"`

	Address   string `toml:"address,omitempty" json:"address,omitempty"`
	PKI       string `toml:"pki,omitempty" json:"pki,omitempty"`
	Cert      string `toml:"cert,omitempty" json:"cert,omitempty"`
	Key       string `toml:"key,omitempty" json:"key,omitempty"`
	ClientCA  string `toml:"client-ca,omitempty" json:"client-ca,omitempty"`
	CRL       string `toml:"crl,omitempty" json:"crl,omitempty"`
	Insecure  bool   `toml:"insecure,omitempty" json:"insecure,omitzero"`
	Anonymous string `toml:"anonymous,omitempty" json:"anonymous,omitempty"`
	MaxAccess string `toml:"max-access,omitempty" json:"max-access,omitempty" wire:"narrow"`

	AllowHosts   []string `toml:"allow-hosts,omitempty" json:"allow-hosts,omitempty" wire:"narrow"`
	AllowOrigins []string `toml:"allow-origins,omitempty" json:"allow-origins,omitempty" wire:"narrow"`

	// The addresses or networks of proxies that report the addresses of their clients.
	TrustedProxies []string `toml:"trusted-proxies,omitempty" json:"trusted-proxies,omitempty"`
	ProxyProtocol  bool     `toml:"proxy-protocol,omitempty" json:"proxy-protocol,omitzero"`

	path        string // Path, made absolute
	permissions fs.FileMode
	proxies     []netip.Prefix // TrustedProxies
}

// What keys there are beside transport and socket, for each transport.
var listenKeys = map[string][]string{
	"unix":      {"path", "mode", "group", "max-access"},
	"tcp":       {"address", "pki", "cert", "key", "client-ca", "crl", "insecure", "anonymous", "max-access", "trusted-proxies", "proxy-protocol"},
	"websocket": {"address", "pki", "cert", "key", "client-ca", "crl", "insecure", "max-access", "allow-hosts", "allow-origins", "trusted-proxies", "proxy-protocol"},
	"quic":      {"address", "pki", "cert", "key", "client-ca", "crl", "max-access"},
	"http":      {"address", "pki", "cert", "key", "client-ca", "crl", "insecure", "max-access", "allow-hosts", "trusted-proxies", "proxy-protocol"},
}

// complete checks the values, and makes of them what the transport wants.
func (l *Listen) complete(c *Config) error {
	known, ok := listenKeys[l.Transport]
	if !ok {
		return fmt.Errorf("transport: there is no %q; there are unix, tcp, websocket, quic and http", l.Transport)
	}
	for _, key := range l.written() {
		if !slices.Contains(known, key) {
			return fmt.Errorf("%s: is no matter of %s; its keys are %s", key, l.Transport, strings.Join(known, ", "))
		}
	}
	if _, err := level(l.MaxAccess); err != nil {
		return fmt.Errorf("max-access: %w", err)
	}
	if l.Transport == "unix" {
		return l.completeUnix(c)
	}
	if err := l.checkAddress(); err != nil {
		return err
	}
	if err := l.checkAnonymous(c.roleNames()); err != nil {
		return err
	}
	if err := l.completeProxies(); err != nil {
		return err
	}
	if len(l.AllowOrigins) > 0 && !c.Auth.any() {
		return errors.New("allow-origins: browsers give up where they are asked for a certificate, so none is asked for; set users-file or tokens-file in [auth]")
	}
	return l.completeTLS(c)
}

// written lists the keys that have a value.
func (l *Listen) written() (keys []string) {
	for key, is := range map[string]bool{
		"path": l.Path != "", "mode": l.Mode != "", "group": l.Group != "",
		"address": l.Address != "", "pki": l.PKI != "", "cert": l.Cert != "", "key": l.Key != "",
		"client-ca": l.ClientCA != "", "crl": l.CRL != "", "insecure": l.Insecure,
		"anonymous": l.Anonymous != "", "max-access": l.MaxAccess != "",
		"allow-hosts": l.AllowHosts != nil, "allow-origins": l.AllowOrigins != nil,
		"trusted-proxies": l.TrustedProxies != nil, "proxy-protocol": l.ProxyProtocol,
	} {
		if is {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (l *Listen) completeUnix(c *Config) error {
	if l.Socket != "" {
		return nil // whoever made it chose its path and mode
	}
	if l.Path == "" {
		return errors.New("path: missing; it says where the socket is")
	}
	l.path = c.absolute(l.Path)
	if l.Mode == "" {
		l.Mode = "0600"
	}
	bits, err := strconv.ParseUint(l.Mode, 8, 32)
	if err != nil || bits > 0o777 || bits == 0 {
		return fmt.Errorf("mode: %q is no file mode such as \"0600\" or \"0660\"", l.Mode)
	}
	l.permissions = fs.FileMode(bits)
	return nil
}

func (l *Listen) checkAddress() error {
	if l.Socket != "" {
		if l.Address != "" {
			return errors.New("address: the socket that is passed has one already; remove one of the two keys")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return fmt.Errorf("address: %q is no host:port such as \"127.0.0.1:7443\"", l.Address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("address: %q is no port", port)
	}
	if l.Insecure && !isLoopback(host) {
		return fmt.Errorf("insecure: %q is not loopback, and without TLS a listener opens nowhere else; use TLS (pki = \"auto\", or cert, key and client-ca), or 127.0.0.1", host)
	}
	return nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// checkAnonymous: a tcp listener without TLS must say what its peers pass for, and nobody else can.
func (l *Listen) checkAnonymous(roles []string) error {
	switch {
	case l.Transport == "tcp" && l.Insecure && l.Anonymous == "":
		return errors.New(`anonymous: missing; nobody can prove anything without TLS, so it must say which role everybody has: "monitor"`)
	case l.Anonymous != "" && !slices.Contains(roles, l.Anonymous):
		return fmt.Errorf("anonymous: there is no role %q; there are %s", l.Anonymous, strings.Join(roles, ", "))
	case l.Anonymous != "" && !l.Insecure:
		return errors.New("anonymous: with TLS everybody proves who they are; remove it, or set insecure = true")
	}
	return nil
}

// completeProxies parses the networks of trusted proxies. A network of all addresses is refused: every client
// could then report the address of another one.
func (l *Listen) completeProxies() error {
	l.proxies = nil
	for _, text := range l.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if addr, failed := netip.ParseAddr(text); failed == nil {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil || network.Addr().Zone() != "" || network.Addr().Is4In6():
			return fmt.Errorf("trusted-proxies: %q is no address such as \"192.0.2.1\", and no network such as \"10.0.0.0/8\" or \"2001:db8::/64\"", text)
		case network.Bits() == 0:
			return fmt.Errorf("trusted-proxies: %q has all addresses, so every client could report the address of another one; name the networks of your proxies", text)
		}
		l.proxies = append(l.proxies, network.Masked())
	}
	switch {
	case l.ProxyProtocol && len(l.proxies) == 0:
		return errors.New("proxy-protocol: trusted-proxies is missing; it names the proxies that send the header")
	case l.Transport == "tcp" && len(l.proxies) > 0 && !l.ProxyProtocol:
		return errors.New("trusted-proxies: a tcp listener learns the addresses of clients by the PROXY protocol only; set proxy-protocol = true")
	}
	return nil
}

// completeTLS checks that there is TLS in one way, or none in so many words.
func (l *Listen) completeTLS(c *Config) error {
	files := l.Cert != "" || l.Key != "" || l.ClientCA != "" || l.CRL != ""
	switch {
	case l.Insecure && (files || l.PKI != ""):
		return errors.New("insecure: there is TLS, so it is not; remove one of the two")
	case l.Insecure && l.Transport == "http" && !c.Auth.any(), l.Insecure && l.Transport == "websocket" && !c.Auth.any():
		return errors.New("insecure: without TLS clients prove who they are by a password or a token; set users-file or tokens-file in [auth]")
	case l.Insecure:
		return nil
	case l.PKI == "auto" && files:
		return errors.New("pki: \"auto\" makes cert, key, client-ca and crl itself; remove one or the others")
	case l.PKI == "auto" && c.StateDir == "":
		return errors.New("pki: \"auto\" keeps its files in state-dir, which is not set")
	case l.PKI == "auto":
		return nil
	case l.PKI != "":
		return fmt.Errorf("pki: %q is not \"auto\"; for files of your own there are cert, key, client-ca and crl", l.PKI)
	case l.Cert == "" || l.Key == "":
		return errors.New("cert and key: missing; write pki = \"auto\", or make them with `steer pki`")
	case l.ClientCA == "" && (l.Transport == "tcp" || l.Transport == "quic"):
		return errors.New("client-ca: missing; clients prove who they are by their certificates here")
	case l.ClientCA == "" && !c.Auth.any():
		return errors.New("client-ca: missing, and there is no [auth] either, so nobody could prove who they are")
	case l.CRL != "" && l.ClientCA == "":
		return errors.New("crl: revokes clients' certificates, and there is no client-ca")
	}
	for _, file := range []*string{&l.Cert, &l.Key, &l.ClientCA, &l.CRL} {
		if *file != "" {
			*file = c.absolute(*file)
		}
	}
	return nil
}

func (a Auth) any() bool { return a.UsersFile != "" || a.TokensFile != "" }

// anyPort reports whether the kernel chooses the port: each listener has one of its own.
func (l *Listen) anyPort() bool { return l.Transport != "unix" && strings.HasSuffix(l.Address, ":0") }

// place is what two listeners cannot share.
func (l *Listen) place() string {
	switch {
	case l.Socket != "":
		return "socket " + l.Socket
	case l.Transport == "unix":
		return "path " + l.path
	case l.anyPort():
		return fmt.Sprintf("address %p", l)
	case l.Transport == "quic":
		return "UDP address " + l.Address
	}
	return "TCP address " + l.Address
}
