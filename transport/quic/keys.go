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

// A keyPair has the keys of stateless resets (RFC 9000, section 10.3) and of address tokens (section 8.1).
type keyPair struct {
	reset quicgo.StatelessResetKey
	token quicgo.TokenGeneratorKey
}

const keyPairSize = len(keyPair{}.reset) + len(keyPair{}.token)

// keys reads the file with the keys, or makes it.
func (t *Transport) keys() (*keyPair, error) {
	if t.Keys == "" {
		return newKeyPair(), nil
	}
	rules := trustedpath.Rules{Readers: trustedpath.OwnerOnly, TrustOwners: t.TrustOwners}
	s, err := readKeyPair(t.Keys, rules)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if err = rules.Folder(filepath.Dir(t.Keys)); err == nil {
		s = newKeyPair()
		err = sharedfile.Create(t.Keys, append(s.reset[:], s.token[:]...), 0o600)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot make %s: %w", t.Keys, err)
	}
	return readKeyPair(t.Keys, rules) // another daemon may have been first
}

func newKeyPair() *keyPair {
	s := new(keyPair)
	_, _ = rand.Read(s.reset[:]) // never fails
	_, _ = rand.Read(s.token[:])
	return s
}

func readKeyPair(path string, rules trustedpath.Rules) (*keyPair, error) {
	text, _, err := rules.ReadFile(path, 4096)
	if err != nil {
		return nil, err
	}
	if len(text) != keyPairSize {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf(
			"the file has %d bytes, and keys have %d; remove it, and Listen makes new keys", len(text), keyPairSize)}
	}
	s := new(keyPair)
	copy(s.token[:], text[copy(s.reset[:], text):])
	return s, nil
}
