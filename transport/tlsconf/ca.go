package tlsconf

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// A CA is a private certificate authority in a folder of its own, for the daemons and clients of one organisation.
// Its keys are ECDSA on P-256. The methods may be called from any goroutine, and several processes may use one
// folder: each change locks it.
type CA struct {
	dir         string
	trustOwners []uint32 // users that may own the files, in addition to root and the user of this process
	cert        *x509.Certificate
	key         *ecdsa.PrivateKey
}

// The files of a CA's directory.
const (
	CACert  = "ca.pem"  // its certificate
	CAKey   = "ca.key"  // its key, 0600
	CRLFile = "crl.pem" // its revocation list; it always exists
)

// caLifetime is how long the certificate of a CA is valid: ten years.
const caLifetime = 3652 * 24 * time.Hour

// backdate is how far NotBefore lies in the past, for machines whose clocks are slow.
const backdate = time.Hour

// CreateCA makes a CA in the folder dir, and makes the folder with mode 0700 if it does not exist. name is for
// people; it has 1 to 64 bytes. The error is fs.ErrExist when dir has a CA. It is another error when another user
// could change dir: dir, the folders above it up to /, and symbolic links on the way must belong to root, to the user
// of this process or to one of trustOwners, and no other user may write to them (a folder above dir with the sticky
// bit excepted). Files that root makes get the owner of their folder.
func CreateCA(dir, name string, trustOwners ...uint32) (*CA, error) {
	if name == "" || len(name) > 64 || !utf8.ValidString(name) {
		return nil, fmt.Errorf("create CA: the name %q has not 1 to 64 bytes of UTF-8", name)
	}
	if err := stateRules(trustOwners).MakeFolder(dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir, trustOwners)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return createCA(dir, name, trustOwners)
}

// createCA is CreateCA for a folder that is locked. It writes the certificate last: without the certificate there is
// no CA, and the next call makes another.
func createCA(dir, name string, trustOwners []uint32) (*CA, error) {
	taken, err := holdsCA(dir, trustOwners)
	if err != nil {
		return nil, err
	}
	if taken {
		return nil, fmt.Errorf("create CA: %w", &fs.PathError{Op: "create", Path: filepath.Join(dir, CACert), Err: fs.ErrExist})
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	cert, err := sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	ca := &CA{dir, trustOwners, cert, key}
	for _, write := range []func() error{
		func() error { return writeKey(ca.path(CAKey), key) },
		func() error { return ca.writeRecord(nil) },
		func() error { return ca.writeCRL(nil) },
		func() error { return writeCert(ca.path(CACert), cert) },
	} {
		if err := write(); err != nil {
			return nil, fmt.Errorf("create CA: %w", err)
		}
	}
	return ca, nil
}

// holdsCA reports whether dir has a CA. It is an error if the CA has lost its certificate.
func holdsCA(dir string, trustOwners []uint32) (bool, error) {
	_, err := os.Lstat(filepath.Join(dir, CACert))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err == nil, err
	}
	issued, err := readRecord(dir, trustOwners)
	if err == nil && len(issued) > 0 {
		err = fmt.Errorf("%s: %w, though the CA there has issued certificates; bring it back, or start in another directory",
			filepath.Join(dir, CACert), fs.ErrNotExist)
	}
	return false, err
}

// OpenCA opens the CA in dir. The error is fs.ErrNotExist if there is none. The conditions for dir, and for its
// files, are those of CreateCA.
func OpenCA(dir string, trustOwners ...uint32) (*CA, error) {
	if err := stateRules(trustOwners).Folder(dir); err != nil {
		return nil, err
	}
	pair, err := files{rules: stateRules(trustOwners)}.loadPair(filepath.Join(dir, CACert), filepath.Join(dir, CAKey))
	if err != nil {
		return nil, fmt.Errorf("open CA: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("open CA: %s: is not a CA's certificate for an ECDSA key", filepath.Join(dir, CACert))
	}
	return &CA{dir, trustOwners, pair.Leaf, key}, nil
}

// path returns the path of one of the CA's files.
func (ca *CA) path(name string) string { return filepath.Join(ca.dir, name) }

// sign makes a certificate that parent has signed with key. If parent is nil, the certificate signs itself.
func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// lockFile is the file that a change of the CA locks.
const lockFile = "lock"

// lockDir locks the CA in dir. It waits while another process has locked it.
func lockDir(dir string, trustOwners []uint32) (unlock func(), err error) {
	if err := stateRules(trustOwners).Folder(dir); err != nil {
		return nil, err
	}
	return sharedfile.Lock(filepath.Join(dir, lockFile), stateRules(trustOwners))
}

// stateRules are the rules for files that a CA makes.
func stateRules(trustOwners []uint32) trustedpath.Rules {
	return trustedpath.Rules{TrustOwners: trustOwners}
}

// maxLifetime is the longest lifetime of a certificate, and the default: 825 days. Some clients refuse a server
// certificate with a longer one.
const maxLifetime = 825 * 24 * time.Hour

// IssueServer issues a certificate for a daemon, into NAME.pem and NAME.key. hosts are the DNS names and IP addresses
// that clients dial. name is for files and people; it is not in the SANs. lifetime 0 is 825 days, which is also the
// maximum. The files of an earlier certificate with the same name are replaced, but that certificate stays valid. A
// name of a client is refused.
func (ca *CA) IssueServer(name string, hosts []string, lifetime time.Duration) (Issued, error) {
	unlock, err := lockDir(ca.dir, ca.trustOwners)
	if err != nil {
		return Issued{}, err
	}
	defer unlock()
	return ca.issueServer(name, hosts, lifetime)
}

// issueServer is IssueServer for a folder that is locked.
func (ca *CA) issueServer(name string, hosts []string, lifetime time.Duration) (Issued, error) {
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
	return ca.issue(Issued{Name: name, Server: true, Hosts: hosts}, template, lifetime)
}

// IssueClient issues a certificate for a client, into NAME.pem and NAME.key. Its only SAN is the DNS name or URI san,
// which is the name in Cert; empty: name. lifetime, and a name that is used again, are as for IssueServer.
func (ca *CA) IssueClient(name, san string, lifetime time.Duration) (Issued, error) {
	unlock, err := lockDir(ca.dir, ca.trustOwners)
	if err != nil {
		return Issued{}, err
	}
	defer unlock()
	return ca.issueClient(name, san, lifetime)
}

// issueClient is IssueClient for a folder that is locked.
func (ca *CA) issueClient(name, san string, lifetime time.Duration) (Issued, error) {
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
	return ca.issue(Issued{Name: name, SAN: san}, template, lifetime)
}

// namePattern is the pattern of names for certificates. Such a name cannot lead to another folder.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func checkName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("the name %q is not 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit", name)
	}
	if name == "ca" || name == "crl" {
		return fmt.Errorf("the name %q is taken by the CA itself", name)
	}
	return nil
}

// issue signs a certificate and writes its files. It writes the record first, so that each certificate that exists
// can be revoked.
func (ca *CA) issue(issued Issued, template *x509.Certificate, lifetime time.Duration) (Issued, error) {
	fail := func(err error) (Issued, error) { return Issued{}, fmt.Errorf("issue %q: %w", issued.Name, err) }
	now := time.Now()
	end, err := ca.end(now, lifetime)
	if err != nil {
		return fail(err)
	}
	record, err := readRecord(ca.dir, ca.trustOwners)
	if err != nil {
		return fail(err)
	}
	issued.Cert, issued.Key = ca.path(issued.Name+".pem"), ca.path(issued.Name+".key")
	if err := mayIssue(record, issued, now); err != nil {
		return fail(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	template.Subject = pkix.Name{CommonName: issued.Name}
	template.NotBefore, template.NotAfter = now.Add(-backdate), end
	template.KeyUsage, template.BasicConstraintsValid = x509.KeyUsageDigitalSignature, true
	cert, err := sign(template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return fail(err)
	}
	issued.Serial, issued.Fingerprint, issued.NotAfter = cert.SerialNumber.Text(16), FingerprintOf(cert), cert.NotAfter
	if err := sharedfile.Check(ca.path(recordFile), issued.Key, issued.Cert); err != nil { // before anything is written
		return fail(err)
	}
	if err := ca.writeRecord(append(record, issued)); err != nil {
		return fail(err)
	}
	if err := writeKey(issued.Key, key); err != nil {
		return fail(err)
	}
	if err := writeCert(issued.Cert, cert); err != nil {
		return fail(err)
	}
	return issued, nil
}

// end returns when a certificate that is issued now ends.
func (ca *CA) end(now time.Time, lifetime time.Duration) (time.Time, error) {
	left := ca.cert.NotAfter.Sub(now)
	switch {
	case left <= 0:
		return now, fmt.Errorf("the CA in %s ended on %s; make another", ca.dir, formatDate(ca.cert.NotAfter))
	case lifetime < 0:
		return now, errors.New("the certificate would have ended already")
	case lifetime > maxLifetime:
		return now, errors.New("a certificate lasts 825 days at most; issue another when it ends")
	case lifetime > left:
		return now, fmt.Errorf("the certificate would outlive the CA, which ends on %s", formatDate(ca.cert.NotAfter))
	case lifetime == 0:
		lifetime = min(maxLifetime, left)
	}
	return now.Add(lifetime), nil
}

// mayIssue refuses a name that belongs to a certificate of the other kind, and a name whose files were not issued
// here.
func mayIssue(record []Issued, issued Issued, now time.Time) error {
	known := false
	for _, is := range record {
		if is.Name != issued.Name {
			continue
		}
		known = true
		if is.Server != issued.Server && is.Revoked.IsZero() && is.NotAfter.After(now) {
			return fmt.Errorf("the name belongs to a %s whose certificate lasts until %s; take another, or revoke it first",
				is.Kind(), formatDate(is.NotAfter))
		}
	}
	if known {
		return nil
	}
	for _, path := range []string{issued.Cert, issued.Key} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there, and was not issued here; take another name, or move it away", path)
		}
	}
	return nil
}

func formatDate(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Revoke revokes all certificates with this name that have not expired, and writes the CRL. Daemons that use the CRL
// refuse them when they read it again. The error is fs.ErrNotExist when no certificate has this name. It is no error
// when all of them are revoked already.
func (ca *CA) Revoke(name string) error {
	unlock, err := lockDir(ca.dir, ca.trustOwners)
	if err != nil {
		return err
	}
	defer unlock()
	record, err := readRecord(ca.dir, ca.trustOwners)
	if err != nil {
		return fmt.Errorf("revoke %q: %w", name, err)
	}
	if err := sharedfile.Check(ca.path(recordFile), ca.path(CRLFile)); err != nil { // before anything is written
		return fmt.Errorf("revoke %q: %w", name, err)
	}
	now, known := time.Now(), false
	for i := range record {
		is := &record[i]
		if is.Name != name {
			continue
		}
		known = true
		if is.Revoked.IsZero() && is.NotAfter.After(now) {
			is.Revoked = now.UTC().Truncate(time.Second)
		}
	}
	if !known {
		return fmt.Errorf("revoke %q: nothing was issued under that name: %w", name, fs.ErrNotExist)
	}
	if err := ca.writeRecord(record); err != nil {
		return fmt.Errorf("revoke %q: %w", name, err)
	}
	if err := ca.writeCRL(record); err != nil { // when only this fails, another Revoke catches up
		return fmt.Errorf("revoke %q: %w", name, err)
	}
	return nil
}

// writeCRL signs the revocation list. Its NextUpdate is the end of the CA: daemons check the file for changes, and no
// process would sign the next list in time.
func (ca *CA) writeCRL(record []Issued) error {
	now := time.Now()
	list := &x509.RevocationList{Number: big.NewInt(now.UnixNano()), ThisUpdate: now.Add(-backdate), NextUpdate: ca.cert.NotAfter}
	for _, is := range record {
		if is.Revoked.IsZero() {
			continue
		}
		serial, ok := new(big.Int).SetString(is.Serial, 16)
		if !ok {
			return fmt.Errorf("%s: %q is not a serial number", ca.path(recordFile), is.Serial)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: serial, RevocationTime: is.Revoked})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.cert, ca.key)
	if err != nil {
		return err
	}
	return replace(ca.path(CRLFile), pem.EncodeToMemory(&pem.Block{Type: typeCRL, Bytes: der}), 0o644)
}

// recordFile is the record of all issued certificates, one JSON object on each line, oldest first.
const recordFile = "issued.jsonl"

// maxRecord is the longest record in bytes: about 200 000 certificates.
const maxRecord = 64 << 20

// An Issued describes a certificate that a CA has issued.
type Issued struct {
	Name        string      `json:"name"`
	Server      bool        `json:"server,omitzero"`
	Hosts       []string    `json:"hosts,omitzero"` // of a server: DNS names and addresses
	SAN         string      `json:"san,omitzero"`   // of a client: a DNS name or URI, as in Cert
	Serial      string      `json:"serial"`         // in hexadecimal
	Fingerprint Fingerprint `json:"fingerprint"`
	NotAfter    time.Time   `json:"not-after"`
	Revoked     time.Time   `json:"revoked,omitzero"` // zero: not revoked
	Cert        string      `json:"-"`                // paths of its files, or of the files that replaced them
	Key         string      `json:"-"`
}

// Kind returns "server" or "client".
func (i Issued) Kind() string {
	if i.Server {
		return "server"
	}
	return "client"
}

// List returns all issued certificates, oldest first, with expired and revoked ones.
func (ca *CA) List() ([]Issued, error) { return readRecord(ca.dir, ca.trustOwners) }

// readRecord reads the record of the CA in dir. It needs no lock, because the file is replaced and never changed.
func readRecord(dir string, trustOwners []uint32) ([]Issued, error) {
	path := filepath.Join(dir, recordFile)
	text, _, err := stateRules(trustOwners).ReadFile(path, maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(filepath.Join(dir, CACert)); err == nil {
			return nil, fmt.Errorf("%s: %w, so the certificates that the CA has issued are not known; bring it back, or make another CA", path, fs.ErrNotExist)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var record []Issued
	n := 0
	for line := range bytes.Lines(text) {
		n++
		var is Issued
		if err := json.Unmarshal(line, &is); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		if err := checkName(is.Name); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		is.Cert, is.Key = filepath.Join(dir, is.Name+".pem"), filepath.Join(dir, is.Name+".key")
		record = append(record, is)
	}
	return record, nil
}

// writeRecord replaces the record.
func (ca *CA) writeRecord(record []Issued) error {
	var text bytes.Buffer
	for _, is := range record {
		line, err := json.Marshal(is)
		if err != nil {
			return err
		}
		text.Write(line)
		text.WriteByte('\n')
	}
	return replace(ca.path(recordFile), text.Bytes(), 0o600)
}
