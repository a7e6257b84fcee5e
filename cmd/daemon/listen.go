package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/rudderpost/rudderpost/internal/webhost"
)

// Listen configures a listener. Its transport decides which keys it may have.
type Listen struct {
	Transport string `toml:"transport" json:"transport"`
	Socket    string `toml:"socket,omitempty" json:"socket,omitempty"` // the name of a socket that systemd passes

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

	// TrustedProxies are the addresses or networks of proxies that report the addresses of their clients.
	TrustedProxies []string `toml:"trusted-proxies,omitempty" json:"trusted-proxies,omitempty"`
	ProxyProtocol  bool     `toml:"proxy-protocol,omitempty" json:"proxy-protocol,omitzero"`

	path        string // Path as an absolute path
	permissions fs.FileMode
	proxies     []netip.Prefix // TrustedProxies, parsed
}

// listenKeys has the keys of each transport, besides transport and socket.
var listenKeys = map[string][]string{
	"unix":      {"path", "mode", "group", "max-access"},
	"tcp":       {"address", "pki", "cert", "key", "client-ca", "crl", "insecure", "anonymous", "max-access", "trusted-proxies", "proxy-protocol"},
	"websocket": {"address", "pki", "cert", "key", "client-ca", "crl", "insecure", "max-access", "allow-hosts", "allow-origins", "trusted-proxies", "proxy-protocol"},
	"quic":      {"address", "pki", "cert", "key", "client-ca", "crl", "max-access"},
	"http":      {"address", "pki", "cert", "key", "client-ca", "crl", "insecure", "max-access", "allow-hosts", "trusted-proxies", "proxy-protocol"},
}

// complete checks the values and derives path, permissions and proxies from them.
func (l *Listen) complete(c *Config) error {
	known, ok := listenKeys[l.Transport]
	if !ok {
		return fmt.Errorf("transport: there is no %q; there are unix, tcp, websocket, quic and http", l.Transport)
	}
	for _, key := range l.writtenKeys() {
		if !slices.Contains(known, key) {
			return fmt.Errorf("%s: is not a key of %s; its keys are %s", key, l.Transport, strings.Join(known, ", "))
		}
	}
	if _, err := parseLevel(l.MaxAccess); err != nil {
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
		return errors.New("allow-origins: a listener for browsers asks for no certificates; set users-file or tokens-file in [auth]")
	}
	return l.completeTLS(c)
}

// writtenKeys returns the keys that have a value.
func (l *Listen) writtenKeys() (keys []string) {
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
		return nil // systemd has chosen its path and mode
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
		return fmt.Errorf("mode: %q is not a file mode such as \"0600\" or \"0660\"", l.Mode)
	}
	l.permissions = fs.FileMode(bits)
	return nil
}

func (l *Listen) checkAddress() error {
	if l.Socket != "" {
		if l.Address != "" {
			return errors.New("address: the passed socket has its own; remove one of the two keys")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return fmt.Errorf("address: %q is not host:port such as \"127.0.0.1:7443\"", l.Address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("address: %q is not a port number", port)
	}
	if l.Insecure && !webhost.IsLoopback(host) {
		return fmt.Errorf("insecure: %q is not loopback, and a listener without TLS must be on loopback; use TLS (pki = \"auto\", or cert, key and client-ca), or 127.0.0.1", host)
	}
	return nil
}

// checkAnonymous checks the role of anonymous peers: a tcp listener without TLS must have one, and no other may.
func (l *Listen) checkAnonymous(roles []string) error {
	switch {
	case l.Transport == "tcp" && l.Insecure && l.Anonymous == "":
		return errors.New(`anonymous: missing; without TLS clients have no credentials, so it must name the role that they get: "monitor"`)
	case l.Anonymous != "" && !slices.Contains(roles, l.Anonymous):
		return fmt.Errorf("anonymous: there is no role %q; there are %s", l.Anonymous, strings.Join(roles, ", "))
	case l.Anonymous != "" && !l.Insecure:
		return errors.New("anonymous: with TLS all clients have credentials; remove it, or set insecure = true")
	}
	return nil
}

// completeProxies parses the networks of trusted proxies. A network of all addresses is refused, because every client
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
			return fmt.Errorf("trusted-proxies: %q is not an address such as \"192.0.2.1\", and no network such as \"10.0.0.0/8\" or \"2001:db8::/64\"", text)
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

// completeTLS checks that exactly one of these is configured: pki = "auto", certificate files, or insecure.
func (l *Listen) completeTLS(c *Config) error {
	files := l.Cert != "" || l.Key != "" || l.ClientCA != "" || l.CRL != ""
	switch {
	case l.Insecure && (files || l.PKI != ""):
		return errors.New("insecure: cannot be combined with TLS settings; remove one of the two")
	case l.Insecure && l.Transport == "http" && !c.Auth.any(), l.Insecure && l.Transport == "websocket" && !c.Auth.any():
		return errors.New("insecure: without TLS clients authenticate with a password or a token; set users-file or tokens-file in [auth]")
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
		return errors.New("client-ca: missing; clients authenticate with certificates here")
	case l.ClientCA == "" && !c.Auth.any():
		return errors.New("client-ca: missing, and there is no [auth] either, so no client could authenticate")
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

// hasAnyPort reports whether the kernel chooses the port, so that each listener has its own.
func (l *Listen) hasAnyPort() bool {
	return l.Transport != "unix" && strings.HasSuffix(l.Address, ":0")
}

// bindKey names the address, path or socket that the listener occupies. Two listeners cannot have the same one.
func (l *Listen) bindKey() string {
	switch {
	case l.Socket != "":
		return "socket " + l.Socket
	case l.Transport == "unix":
		return "path " + l.path
	case l.hasAnyPort():
		return fmt.Sprintf("address %p", l)
	case l.Transport == "quic":
		return "UDP address " + l.Address
	}
	return "TCP address " + l.Address
}

// unreachableWarning returns a warning if the mode of a UNIX socket lets a group or all users connect, but a folder
// above it does not let them reach it. Otherwise it returns "". It warns only where the kernel refuses every process of
// that group that does not run as root or as the folder's owner.
func (l *Listen) unreachableWarning() string {
	if l.Transport != "unix" || l.path == "" {
		return ""
	}
	_, group, err := modeAndGroup(l.path)
	if err != nil {
		return ""
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(l.path))
	if err != nil {
		return ""
	}
	const connect = 0o2 // connect(2) needs write permission
	forAll, forGroup := l.permissions&connect != 0, l.permissions&(connect<<3) != 0
	name := groupName(group)
	for ; ; folder = filepath.Dir(folder) {
		mode, owner, err := modeAndGroup(folder)
		if err != nil {
			return ""
		}
		at := fmt.Sprintf("the folder %s (mode %04o, group %s)", folder, mode, groupName(owner))
		switch {
		case forAll && mode&0o001 == 0:
			return fmt.Sprintf("mode %04o lets all users connect, but %s keeps them out; do chmod o+x on the folder, or choose another path",
				l.permissions, at)
		case forGroup && owner == group && mode&0o010 == 0:
			return fmt.Sprintf("mode %04o lets the group %s connect, but %s keeps it out; do chmod g+x on the folder, or choose another path",
				l.permissions, name, at)
		case forGroup && owner != group && mode&0o011 == 0: // with g+x the result depends on the members and on an ACL
			return fmt.Sprintf("mode %04o lets the group %s connect, but %s keeps it out; do chgrp %[2]s and chmod g+x on the folder, or choose another path",
				l.permissions, name, at)
		}
		if folder == filepath.Dir(folder) {
			return ""
		}
	}
}

// modeAndGroup returns the permissions and the group of a file.
func modeAndGroup(path string) (mode os.FileMode, gid uint32, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, &os.PathError{Op: "stat", Path: path, Err: syscall.ENOSYS}
	}
	return info.Mode().Perm(), stat.Gid, nil
}

// groupName returns the name of a group, or its number if it has no name.
func groupName(gid uint32) string {
	number := strconv.FormatUint(uint64(gid), 10)
	g, err := user.LookupGroupId(number)
	if err != nil {
		return number
	}
	return cmp.Or(g.Name, number)
}
