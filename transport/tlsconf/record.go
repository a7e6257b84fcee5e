package tlsconf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
)

// recordFile names what a CA has issued, one JSON object a line, oldest first.
const recordFile = "issued.jsonl"

// maxRecord is the longest record, in bytes: some 200 000 certificates.
const maxRecord = 64 << 20

// An Issued is a certificate that a CA has issued.
type Issued struct {
	Name        string      `json:"name"`
	Server      bool        `json:"server,omitzero"`
	Hosts       []string    `json:"hosts,omitzero"` // of a server: DNS names and addresses
	SAN         string      `json:"san,omitzero"`   // of a client: a DNS name or URI, as in Cert
	Serial      string      `json:"serial"`         // in hexadecimal
	Fingerprint Fingerprint `json:"fingerprint"`
	NotAfter    time.Time   `json:"not-after"`
	Revoked     time.Time   `json:"revoked,omitzero"` // zero unless it is
	Cert        string      `json:"-"`                // paths of its files, or of those that replaced it
	Key         string      `json:"-"`
}

// Kind is "server" or "client".
func (i Issued) Kind() string {
	if i.Server {
		return "server"
	}
	return "client"
}

// List returns what was issued, oldest first, expired and revoked ones too.
func (ca *CA) List() ([]Issued, error) { return readRecord(ca.dir, ca.own) }

// readRecord reads the record of the CA in dir; it is replaced, never changed, so no lock is needed.
func readRecord(dir string, trustOwners []uint32) ([]Issued, error) {
	path := filepath.Join(dir, recordFile)
	text, _, err := state(trustOwners).ReadFile(path, maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(filepath.Join(dir, CACert)); err == nil {
			return nil, fmt.Errorf("%s: %w, so it is not known what the CA has issued; bring it back, or make another CA", path, fs.ErrNotExist)
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
