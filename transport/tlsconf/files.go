package tlsconf

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// The types of the PEM blocks that are read and written here.
const (
	typeCert = "CERTIFICATE"
	typeKey  = "PRIVATE KEY"
	typeCRL  = "X509 CRL"
)

// maxFile is the longest file in bytes that is read.
const maxFile = 16 << 20

// files reads the files of a daemon or a client.
type files struct {
	rules    trustedpath.Rules
	ofClient bool // a client's: only the mode of keys is checked
}

// sourceFiles reads files that other programs may provide: symbolic links are followed, and the group of a key of
// root's may read it.
func sourceFiles(trustOwners []uint32) files {
	return files{rules: trustedpath.Rules{Profile: trustedpath.Source, TrustOwners: trustOwners}}
}

// read reads a file that any user may read.
func (f files) read(path string) ([]byte, error) {
	if f.ofClient {
		return readRegular(path, func(fs.FileInfo) error { return nil })
	}
	text, _, err := f.rules.ReadFile(path, maxFile)
	return text, err
}

// readKey reads a key, unless other users may read it too.
func (f files) readKey(path string) ([]byte, error) {
	if f.ofClient {
		return readRegular(path, func(info fs.FileInfo) error { return checkKeyMode(path, info) })
	}
	f.rules.Readers = trustedpath.OwnerOnly
	text, _, err := f.rules.ReadFile(path, maxFile)
	return text, err
}

// readRegular reads a file of a client. It checks the file before it opens it, so that a FIFO does not block.
func readRegular(path string, check func(fs.FileInfo) error) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxFile) {
		err = fmt.Errorf("%s: is not a regular file of at most %d MiB", path, maxFile>>20)
	}
	if err == nil {
		err = check(info)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// loadPair reads a certificate chain and its key.
func (f files) loadPair(certPath, keyPath string) (tls.Certificate, error) {
	chain, err := f.read(certPath)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := f.readKey(keyPath)
	if err != nil {
		return tls.Certificate{}, err
	}
	return parsePair(certPath, chain, keyPath, key)
}

// parsePair parses a certificate chain and its key.
func parsePair(certPath string, chain []byte, keyPath string, key []byte) (tls.Certificate, error) {
	if _, err := parseCerts(certPath, chain); err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s: %w; give the key that this certificate was made for, in PEM and without a password",
			certPath, keyPath, err)
	}
	return pair, nil
}

// parseCerts parses the certificates in a PEM file; at least one. It skips other blocks, such as a key.
func parseCerts(path string, text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != typeCert {
			continue // a key may lie in the same file
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", path, len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s: holds no certificate in PEM", path)
	}
	return certs, nil
}

// writeKey writes a key to a file that only its owner can read.
func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return replace(path, pem.EncodeToMemory(&pem.Block{Type: typeKey, Bytes: der}), 0o600)
}

func writeCert(path string, cert *x509.Certificate) error {
	return replace(path, pem.EncodeToMemory(&pem.Block{Type: typeCert, Bytes: cert.Raw}), 0o644)
}

func replace(path string, text []byte, mode fs.FileMode) error {
	_, err := sharedfile.Replace(path, text, mode)
	return err
}
