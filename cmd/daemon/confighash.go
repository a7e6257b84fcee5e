package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/internal/trustedpath"
	"github.com/rudderpost/rudderpost/mgr/std"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// revealed encodes a configuration with its secrets.
func (c *Config) revealed() (jsontext.Value, error) { return reveal(c) }

// reveal encodes a part of a configuration with its secrets.
func reveal(v any) (jsontext.Value, error) {
	return json.Marshal(v, json.Deterministic(true), json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, s Secret) error {
		return e.WriteToken(jsontext.String(s.Reveal()))
	})))
}

// hashed returns the hash of a configuration. It is that of the real values, and keyed, so that nobody can
// try secrets against it.
func (c *Config) hashed() (string, error) {
	text, err := c.revealed()
	if err != nil {
		return "", err
	}
	whole, err := std.AppendConfig(nil, section, text)
	if err != nil {
		return "", err
	}
	key, err := c.hashKey()
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(whole)
	return strings.ToUpper(hex.EncodeToString(mac.Sum(nil))), nil
}

// processKey is the key of a daemon without a state-dir.
var processKey = randomKey()

// hashKey returns the installation's key, which is made when it is first wanted.
func (c *Config) hashKey() ([]byte, error) {
	if c.StateDir == "" {
		return processKey, nil
	}
	path := filepath.Join(c.StateDir, "config.key")
	rules := c.state()
	rules.Readers = trustedpath.OwnerOnly
	text, _, err := rules.ReadFile(path, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		err = sharedfile.Create(path, []byte(hex.EncodeToString(randomKey())+"\n"), 0o600)
		if err == nil || errors.Is(err, fs.ErrExist) { // another daemon may have been first
			text, _, err = rules.ReadFile(path, 4096)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the key of config-hash-get: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) < 16 {
		return nil, fmt.Errorf("%s is not the key that the daemon makes; remove it", path)
	}
	return key, nil
}

func randomKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}
