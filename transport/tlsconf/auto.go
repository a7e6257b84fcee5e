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

// autoLifetime is how long these certificates are valid. Auto renews them when less than a third of it is left.
const autoLifetime = 365 * 24 * time.Hour

// Auto returns the Server for `pki = "auto"`. It makes what is missing in dir: a CA, a certificate "server" for
// hosts, and a client certificate "admin" whose SAN is "admin". It renews certificates that end soon. The default of
// hosts is localhost, 127.0.0.1 and ::1. A host that the server certificate lacks is added. The CA stays, so clients
// that have it still trust the daemon; a certificate that is replaced stays valid. Several daemons may call Auto at
// the same time for one dir. The conditions for dir are those of CreateCA.
func Auto(dir string, hosts []string, trustOwners ...uint32) (*Server, error) {
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	if err := stateRules(trustOwners).MakeFolder(dir, 0o700); err != nil {
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
	if err := ca.renewServer(hosts); err != nil {
		return nil, fmt.Errorf("automatic PKI: %w", err)
	}
	if err := ca.renewClient(); err != nil {
		return nil, fmt.Errorf("automatic PKI: %w", err)
	}
	return &Server{
		Cert: ca.path(autoServer + ".pem"), Key: ca.path(autoServer + ".key"),
		ClientCA: ca.path(CACert), CRL: ca.path(CRLFile), TrustOwners: trustOwners,
	}, nil
}

// ClientFrom returns the Client that trusts the daemons of the CA in dir, and has the certificate that was issued
// there under name. Empty: "admin", as Auto makes it. The files are read by Client.Config.
func ClientFrom(dir, name string) *Client {
	name = cmp.Or(name, autoClient)
	return &Client{
		CA:   filepath.Join(dir, CACert),
		Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key"),
	}
}

// openOrCreate returns the CA in dir. The folder is locked.
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

// renewServer issues the server certificate, unless there is one that is good.
func (ca *CA) renewServer(hosts []string) error {
	leaf, err := ca.current(autoServer, true)
	if err != nil {
		return err
	}
	if leaf != nil && !slices.ContainsFunc(hosts, func(host string) bool { return !certHasHost(leaf, host) }) {
		return nil
	}
	record, err := readRecord(ca.dir, ca.trustOwners)
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
	_, err = ca.issueServer(autoServer, slices.Compact(hosts), autoLifetime)
	return err
}

// renewClient issues the client certificate, unless there is one that is good.
func (ca *CA) renewClient() error {
	leaf, err := ca.current(autoClient, false)
	if leaf != nil || err != nil {
		return err
	}
	_, err = ca.issueClient(autoClient, autoClient, autoLifetime)
	return err
}

// current returns the certificate that was issued under a name, or nil if another must be issued: there is none, it
// ends soon, or it is not in the record. A key that other users can read is an error, because a new certificate would
// not help.
func (ca *CA) current(name string, server bool) (*x509.Certificate, error) {
	certPath, keyPath := ca.path(name+".pem"), ca.path(name+".key")
	key, err := sourceFiles(ca.trustOwners).readKey(keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	chain, err := sourceFiles(ca.trustOwners).read(certPath)
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
	record, err := readRecord(ca.dir, ca.trustOwners)
	if err != nil {
		return nil, err
	}
	fingerprint := FingerprintOf(pair.Leaf)
	ours := slices.ContainsFunc(record, func(is Issued) bool {
		return is.Fingerprint == fingerprint && is.Server == server && is.Revoked.IsZero()
	})
	if !ours || time.Until(pair.Leaf.NotAfter) < autoLifetime/3 || pair.Leaf.CheckSignatureFrom(ca.cert) != nil {
		return nil, nil
	}
	return pair.Leaf, nil
}

// certHasHost reports whether a certificate is for host.
func certHasHost(leaf *x509.Certificate, host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return slices.ContainsFunc(leaf.IPAddresses, func(ip net.IP) bool {
			has, ok := netip.AddrFromSlice(ip)
			return ok && has.Unmap() == addr.Unmap()
		})
	}
	return slices.Contains(leaf.DNSNames, host)
}
