package quic

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
	s, err := readSecrets(t.Keys)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	err = newSecrets().write(t.Keys)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot make %s: %w", t.Keys, err)
	}
	return readSecrets(t.Keys) // another daemon may have been first
}

func newSecrets() *secrets {
	s := new(secrets)
	_, _ = rand.Read(s.reset[:]) // never fails
	_, _ = rand.Read(s.token[:])
	return s
}

func readSecrets(path string) (*secrets, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf(
			"others can read the keys or write to them (mode %v); make it 0600, or remove the file and it is made anew", info.Mode())}
	}
	text, err := os.ReadFile(path)
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

// write makes the file, whole and at once. The error is fs.ErrExist when it is there.
func (s *secrets) write(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(s.reset[:], s.token[:]...))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
