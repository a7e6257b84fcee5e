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
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// A CA is a private certificate authority in a directory of its own, for the daemons and clients of one
// organisation. Its keys are ECDSA on P-256. Several processes may use one directory at once: who changes
// it locks it. The methods may be called by many at once.
type CA struct {
	dir  string
	own  []uint32 // owners of files that are trusted beside root and this user
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// The files of a CA's directory.
const (
	CACert  = "ca.pem"  // its certificate
	CAKey   = "ca.key"  // its key, 0600
	CRLFile = "crl.pem" // what it has revoked; always there
)

// lifeOfCA is how long a CA lasts: ten years.
const lifeOfCA = 3652 * 24 * time.Hour

// backdate is how far a certificate's beginning lies in the past, for those whose clocks are slow.
const backdate = time.Hour

// CreateCA makes a CA in dir, which it makes too, 0700. Its name is for people to read. It is an error
// when one is there (fs.ErrExist), and when another user could change dir: dir, the folders above it up to /, and symbolic
// links on the way must belong to root, to this process's user or to one of trustOwners, and no other user may write
// to them (a folder above dir with the sticky bit excepted). What root makes takes the owner of its folder.
func CreateCA(dir, name string, trustOwners ...uint32) (*CA, error) {
	if name == "" || len(name) > 64 || !utf8.ValidString(name) {
		return nil, fmt.Errorf("create CA: the name %q has not 1 to 64 bytes of UTF-8", name)
	}
	if err := state(trustOwners).MakeFolder(dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir, trustOwners)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return createCA(dir, name, trustOwners)
}

// createCA is CreateCA under the lock. The certificate is written last: without it there is no CA yet,
// and a next try makes another.
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
		NotAfter:              now.Add(lifeOfCA),
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

// holdsCA reports whether there is a CA in dir, or one that has lost its certificate.
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

// OpenCA opens the CA in dir. The error is fs.ErrNotExist where there is none. The conditions for dir are those of
// CreateCA, and hold for its files too.
func OpenCA(dir string, trustOwners ...uint32) (*CA, error) {
	if err := state(trustOwners).Folder(dir); err != nil {
		return nil, err
	}
	pair, err := files{rules: state(trustOwners)}.loadPair(filepath.Join(dir, CACert), filepath.Join(dir, CAKey))
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

// sign makes a certificate, signed by parent with key; without a parent by itself.
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

// lockFile is what those who change a CA lock.
const lockFile = "lock"

// lockDir waits until no other process changes the CA in dir, and keeps the others waiting until unlock is
// called.
func lockDir(dir string, trustOwners []uint32) (unlock func(), err error) {
	if err := state(trustOwners).Folder(dir); err != nil {
		return nil, err
	}
	return sharedfile.Lock(filepath.Join(dir, lockFile), state(trustOwners))
}

// state are the rules for what a CA makes.
func state(trustOwners []uint32) trustedpath.Rules {
	return trustedpath.Rules{TrustOwners: trustOwners}
}
