package tlsconf

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"time"
)

// The names under which Auto issues its certificates.
const (
	autoServer = "server"
	autoClient = "admin"
)

// autoLife is how long they last. At a start that finds less than a third of it left, they are renewed.
const autoLife = 365 * 24 * time.Hour

// Auto returns the Server for `pki = "auto"`: it makes in dir what is missing of a CA, a server
// certificate "server" for hosts, and a client certificate "admin" whose SAN is "admin", and renews what
// soon ends. Without hosts it is localhost. A host that the server certificate lacks is added to it. What
// is there stays, so that clients which have the CA keep believing this daemon; a certificate that is
// replaced stays valid. Several daemons may do this at once in one dir. The conditions for dir are those of CreateCA.
func Auto(dir string, hosts []string, trustOwners ...uint32) (*Server, error) {
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	if err := state(trustOwners).MakeFolder(dir, 0o700); err != nil {
		return nil, fmt.Errorf("automatic PKI: %w", err)
	}
	unlock, err := lockDir(dir, trustOwners)
	if err != nil {
		return nil, fmt.Errorf("automatic PKI: %w", err)
	}
	defer unlock()
	ca, err := openOrCreate(dir, trustOwners)
	if err != nil {
		return nil, fmt.Errorf("automatic PKI: %w", err)
	}
	if err := ca.keepServer(hosts); err != nil {
		return nil, fmt.Errorf("automatic PKI: %w", err)
	}
	if err := ca.keepClient(); err != nil {
		return nil, fmt.Errorf("automatic PKI: %w", err)
	}
	return &Server{
		Cert: ca.path(autoServer + ".pem"), Key: ca.path(autoServer + ".key"),
		ClientCA: ca.path(CACert), CRL: ca.path(CRLFile), TrustOwners: trustOwners,
	}, nil
}

// ClientFrom returns the Client that believes the daemons of the CA in dir, and is itself what was issued
// there under a name; "" is "admin", as Auto makes it.
func ClientFrom(dir, name string) *Client {
	name = cmp.Or(name, autoClient)
	return &Client{
		CA:   filepath.Join(dir, CACert),
		Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key"),
	}
}

// openOrCreate returns the CA in dir, which is locked.
func openOrCreate(dir string, trustOwners []uint32) (*CA, error) {
	there, err := holdsCA(dir, trustOwners)
	if err != nil {
		return nil, err
	}
	if !there {
		return createCA(dir, "rudderpost private CA", trustOwners)
	}
	return OpenCA(dir, trustOwners...)
}

// keepServer issues the server certificate, unless there is one that will do.
func (ca *CA) keepServer(hosts []string) error {
	leaf, err := ca.current(autoServer, true)
	if err != nil {
		return err
	}
	if leaf != nil && !slices.ContainsFunc(hosts, func(host string) bool { return !namesHost(leaf, host) }) {
		return nil
	}
	record, err := readRecord(ca.dir, ca.own)
	if err != nil {
		return err
	}
	for _, is := range slices.Backward(record) {
		if is.Name == autoServer && is.Server {
			hosts = append(slices.Clone(hosts), is.Hosts...) // another daemon may need them
			break
		}
	}
	slices.Sort(hosts)
	_, err = ca.issueServer(autoServer, slices.Compact(hosts), autoLife)
	return err
}

// keepClient issues the client certificate, unless there is one that will do.
func (ca *CA) keepClient() error {
	leaf, err := ca.current(autoClient, false)
	if leaf != nil || err != nil {
		return err
	}
	_, err = ca.issueClient(autoClient, autoClient, autoLife)
	return err
}

// current returns the certificate that was issued under a name, or nothing if that is not good for a
// while yet. A key that others can read is an error: it would not be undone by another.
func (ca *CA) current(name string, server bool) (*x509.Certificate, error) {
	certPath, keyPath := ca.path(name+".pem"), ca.path(name+".key")
	key, err := sources(ca.own).readKey(keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	chain, err := sources(ca.own).read(certPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pair, err := parsePair(certPath, chain, keyPath, key)
	if err != nil {
		return nil, nil // a power cut came between the two files
	}
	record, err := readRecord(ca.dir, ca.own)
	if err != nil {
		return nil, err
	}
	fingerprint := FingerprintOf(pair.Leaf)
	ours := slices.ContainsFunc(record, func(is Issued) bool {
		return is.Fingerprint == fingerprint && is.Server == server && is.Revoked.IsZero()
	})
	if !ours || time.Until(pair.Leaf.NotAfter) < autoLife/3 || pair.Leaf.CheckSignatureFrom(ca.cert) != nil {
		return nil, nil
	}
	return pair.Leaf, nil
}

// namesHost reports whether a certificate is for host.
func namesHost(leaf *x509.Certificate, host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return slices.ContainsFunc(leaf.IPAddresses, func(ip net.IP) bool {
			has, ok := netip.AddrFromSlice(ip)
			return ok && has.Unmap() == addr.Unmap()
		})
	}
	return slices.Contains(leaf.DNSNames, host)
}
