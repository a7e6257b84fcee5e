package tlsconf

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// revocations has the entries of all revocation lists of a file.
type revocations struct {
	path   string
	of     map[issuer]map[string]bool // serial numbers, as serialKey writes them
	update time.Time                  // the earliest NextUpdate of the lists; zero: none has one
}

// An issuer is an authority: its name and its key as they stand in certificates.
type issuer struct{ subject, key string }

func issuerOf(cert *x509.Certificate) issuer {
	return issuer{string(cert.RawSubject), string(cert.RawSubjectPublicKeyInfo)}
}

// parseCRL parses a PEM file of revocation lists. Each must be signed by one of the authorities.
func parseCRL(path string, text []byte, authorities []*x509.Certificate) (*revocations, error) {
	r := &revocations{path: path, of: map[issuer]map[string]bool{}}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != typeCRL {
			return nil, fmt.Errorf("%s: holds a %s, and should hold CRLs only", path, block.Type)
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err == nil {
			err = r.add(list, authorities)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if len(r.of) == 0 {
		return nil, fmt.Errorf("%s: holds no CRL in PEM (openssl crl -inform DER converts one)", path)
	}
	return r, nil
}

// add adds a list if its signature is valid and all its critical extensions are known.
func (r *revocations) add(list *x509.RevocationList, authorities []*x509.Certificate) error {
	for _, extension := range list.Extensions {
		if extension.Critical { // RFC 5280, 5.2: such a list is for some certificates only
			return fmt.Errorf("the CRL of %q has the critical extension %s, which is not understood; give a complete CRL", list.Issuer, extension.Id)
		}
	}
	known := false
	for _, authority := range authorities {
		if string(authority.RawSubject) != string(list.RawIssuer) || list.CheckSignatureFrom(authority) != nil {
			continue
		}
		known = true
		if err := r.revoke(issuerOf(authority), list.RevokedCertificateEntries); err != nil {
			return err
		}
	}
	if !known {
		return fmt.Errorf("the CRL of %q is signed by none of the trusted authorities; give their CRL, or add the certificate of this authority", list.Issuer)
	}
	if !list.NextUpdate.IsZero() && (r.update.IsZero() || list.NextUpdate.Before(r.update)) {
		r.update = list.NextUpdate
	}
	return nil
}

// revoke adds the entries of a list.
func (r *revocations) revoke(by issuer, entries []x509.RevocationListEntry) error {
	serials := r.of[by]
	if serials == nil {
		serials = make(map[string]bool, len(entries))
		r.of[by] = serials
	}
	for _, entry := range entries {
		for _, extension := range entry.Extensions {
			if extension.Critical { // RFC 5280, 5.3: it may be another authority's certificate
				return fmt.Errorf("the CRL's entry %x has the critical extension %s, which is not understood", entry.SerialNumber, extension.Id)
			}
		}
		serials[serialKey(entry.SerialNumber)] = true
	}
	return nil
}

func serialKey(serial *big.Int) string { return serial.Text(62) }

// check refuses chains with a certificate that is revoked, or whose issuer has no list. The last certificate of a
// chain is a root, which is not checked.
func (r *revocations) check(chains [][]*x509.Certificate) error {
	if r == nil {
		return nil
	}
	for _, chain := range chains {
		for i, cert := range chain[:len(chain)-1] {
			serials, known := r.of[issuerOf(chain[i+1])]
			if !known {
				return fmt.Errorf("%s: holds no CRL of %q, the issuer of the certificate %s", r.path, cert.Issuer, FingerprintOf(cert).Pin())
			}
			if serials[serialKey(cert.SerialNumber)] {
				return fmt.Errorf("the certificate %s: %w", FingerprintOf(cert).Pin(), ErrRevoked)
			}
		}
	}
	return nil
}

// ErrRevoked is the reason when a certificate was revoked by its issuer.
var ErrRevoked = errors.New("is revoked")

// outdated returns an error if one of the lists should have been replaced by now.
func (r *revocations) outdated() error {
	if r == nil || r.update.IsZero() || time.Now().Before(r.update) {
		return nil
	}
	return fmt.Errorf("%s: the CRL should have been replaced by %s, and stays in force; later revocations are not known", r.path, formatTime(r.update))
}
