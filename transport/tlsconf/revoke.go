package tlsconf

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"time"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
)

// Revoke revokes every certificate that was issued under a name and has not expired, by way of the CRL:
// whoever reads that refuses them from then on. It is an error when nothing was issued under the name
// (fs.ErrNotExist), none when all of it is revoked already.
func (ca *CA) Revoke(name string) error {
	unlock, err := lockDir(ca.dir, ca.own)
	if err != nil {
		return err
	}
	defer unlock()
	record, err := readRecord(ca.dir, ca.own)
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

// writeCRL signs a list of what is revoked. It holds for as long as the CA does: the daemons that read
// it look at the file itself, and nobody would sign another in time.
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
