package tlsconf

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"time"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
)

// maxLife is the longest that a certificate of a CA may last, and how long it does when nothing else is
// said: 825 days, beyond which some clients refuse a server's.
const maxLife = 825 * 24 * time.Hour

// IssueServer issues a certificate for a daemon that is reached as hosts, DNS names and addresses, into
// NAME.pem and NAME.key. The name is for files and people; only hosts count. A life of 0 is 825 days,
// which is also the longest. What was issued before under the name is replaced, but stays valid; a client's
// name is refused.
func (ca *CA) IssueServer(name string, hosts []string, life time.Duration) (Issued, error) {
	unlock, err := lockDir(ca.dir, ca.own)
	if err != nil {
		return Issued{}, err
	}
	defer unlock()
	return ca.issueServer(name, hosts, life)
}

// issueServer is IssueServer under the lock.
func (ca *CA) issueServer(name string, hosts []string, life time.Duration) (Issued, error) {
	if err := checkName(name); err != nil {
		return Issued{}, fmt.Errorf("issue: %w", err)
	}
	template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if len(hosts) == 0 {
		return Issued{}, fmt.Errorf("issue %q: a server's certificate needs a host, a name or address that clients dial", name)
	}
	for _, host := range hosts {
		addr, err := netip.ParseAddr(host)
		switch {
		case err == nil && addr.Zone() == "" && !addr.IsUnspecified():
			template.IPAddresses = append(template.IPAddresses, net.IP(addr.Unmap().AsSlice()))
		case err != nil && plainHost(host):
			template.DNSNames = append(template.DNSNames, host)
		default:
			return Issued{}, fmt.Errorf("issue %q: %q is neither a host name nor an address that clients can dial", name, host)
		}
	}
	return ca.issue(Issued{Name: name, Server: true, Hosts: hosts}, template, life)
}

// IssueClient issues a certificate for a client, whose SAN is the DNS name or URI san, into NAME.pem and
// NAME.key. The name is for files and people; the SAN is who the client is, as in Cert. An empty SAN
// is the name. Life, and a name that is used again, are as with IssueServer.
func (ca *CA) IssueClient(name, san string, life time.Duration) (Issued, error) {
	unlock, err := lockDir(ca.dir, ca.own)
	if err != nil {
		return Issued{}, err
	}
	defer unlock()
	return ca.issueClient(name, san, life)
}

// issueClient is IssueClient under the lock.
func (ca *CA) issueClient(name, san string, life time.Duration) (Issued, error) {
	if err := checkName(name); err != nil {
		return Issued{}, fmt.Errorf("issue: %w", err)
	}
	if san == "" {
		san = name
	}
	template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	switch {
	case plainHost(san):
		template.DNSNames = []string{san}
	case plainURI(san):
		uri, err := url.Parse(san)
		if err != nil {
			return Issued{}, fmt.Errorf("issue %q: %w", name, err)
		}
		template.URIs = []*url.URL{uri}
	default:
		return Issued{}, fmt.Errorf("issue %q: the SAN %q is neither a DNS name like ops.example nor a URI like spiffe://example/ops", name, san)
	}
	return ca.issue(Issued{Name: name, SAN: san}, template, life)
}

// names are those that a certificate may be issued under: no path can be made of them.
var names = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func checkName(name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("the name %q is not 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit", name)
	}
	if name == "ca" || name == "crl" {
		return fmt.Errorf("the name %q is taken by the CA itself", name)
	}
	return nil
}

// issue signs a certificate and writes its files. It is recorded before anybody can have it, so that
// whatever exists can be revoked.
func (ca *CA) issue(what Issued, template *x509.Certificate, life time.Duration) (Issued, error) {
	fail := func(err error) (Issued, error) { return Issued{}, fmt.Errorf("issue %q: %w", what.Name, err) }
	now := time.Now()
	end, err := ca.end(now, life)
	if err != nil {
		return fail(err)
	}
	record, err := readRecord(ca.dir, ca.own)
	if err != nil {
		return fail(err)
	}
	what.Cert, what.Key = ca.path(what.Name+".pem"), ca.path(what.Name+".key")
	if err := mayIssue(record, what, now); err != nil {
		return fail(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	template.Subject = pkix.Name{CommonName: what.Name}
	template.NotBefore, template.NotAfter = now.Add(-backdate), end
	template.KeyUsage, template.BasicConstraintsValid = x509.KeyUsageDigitalSignature, true
	cert, err := sign(template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return fail(err)
	}
	what.Serial, what.Fingerprint, what.NotAfter = cert.SerialNumber.Text(16), FingerprintOf(cert), cert.NotAfter
	if err := sharedfile.Check(ca.path(recordFile), what.Key, what.Cert); err != nil { // before anything is written
		return fail(err)
	}
	if err := ca.writeRecord(append(record, what)); err != nil {
		return fail(err)
	}
	if err := writeKey(what.Key, key); err != nil {
		return fail(err)
	}
	if err := writeCert(what.Cert, cert); err != nil {
		return fail(err)
	}
	return what, nil
}

// end returns when a certificate ends that is issued now.
func (ca *CA) end(now time.Time, life time.Duration) (time.Time, error) {
	left := ca.cert.NotAfter.Sub(now)
	switch {
	case left <= 0:
		return now, fmt.Errorf("the CA in %s ended on %s; make another", ca.dir, day(ca.cert.NotAfter))
	case life < 0:
		return now, errors.New("the certificate would be over already")
	case life > maxLife:
		return now, errors.New("a certificate lasts 825 days at most; issue another when it ends")
	case life > left:
		return now, fmt.Errorf("the certificate would outlive the CA, which ends on %s", day(ca.cert.NotAfter))
	case life == 0:
		life = min(maxLife, left)
	}
	return now.Add(life), nil
}

// mayIssue refuses a name under which something else was issued, or beside which foreign files lie.
func mayIssue(record []Issued, what Issued, now time.Time) error {
	known := false
	for _, is := range record {
		if is.Name != what.Name {
			continue
		}
		known = true
		if is.Server != what.Server && is.Revoked.IsZero() && is.NotAfter.After(now) {
			return fmt.Errorf("the name belongs to a %s whose certificate lasts until %s; take another, or revoke it first",
				is.Kind(), day(is.NotAfter))
		}
	}
	if known {
		return nil
	}
	for _, path := range []string{what.Cert, what.Key} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there, and was not issued here; take another name, or move it away", path)
		}
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
