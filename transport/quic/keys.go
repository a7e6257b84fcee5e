package quic

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/internal/trustedpath"

	quicgo "github.com/quic-go/quic-go"
)

// Secrets are the keys that make tokens: those by which a client believes that its connection is
// forgotten (RFC 9000, section 10.3), and those that say where a client has been seen (section 8.1).
type secrets struct {
	reset quicgo.StatelessResetKey
	token quicgo.TokenGeneratorKey
}

const secretsSize = len(secrets{}.reset) + len(secrets{}.token)

// keys reads the file with the keys, or makes it.
func (t *Transport) keys() (*secrets, error) {
	if t.Keys == "" {
		return newSecrets(), nil
	}
	rules := trustedpath.Rules{Readers: trustedpath.OwnerOnly, TrustOwners: t.TrustOwners}
	s, err := readSecrets(t.Keys, rules)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if err = rules.Folder(filepath.Dir(t.Keys)); err == nil {
		s = newSecrets()
		err = sharedfile.Create(t.Keys, append(s.reset[:], s.token[:]...), 0o600)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot make %s: %w", t.Keys, err)
	}
	return readSecrets(t.Keys, rules) // another daemon may have been first
}

func newSecrets() *secrets {
	s := new(secrets)
	_, _ = rand.Read(s.reset[:]) // never fails
	_, _ = rand.Read(s.token[:])
	return s
}

func readSecrets(path string, rules trustedpath.Rules) (*secrets, error) {
	text, _, err := rules.ReadFile(path, 4096)
	if err != nil {
		return nil, err
	}
	if len(text) != secretsSize {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf(
			"%d bytes are no keys, which have %d; remove the file and it is made anew", len(text), secretsSize)}
	}
	s := new(secrets)
	copy(s.token[:], text[copy(s.reset[:], text):])
	return s, nil
}
