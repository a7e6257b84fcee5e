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

// encodeWithSecrets encodes a configuration as JSON, with its secrets.
func (c *Config) encodeWithSecrets() (jsontext.Value, error) { return encodeValueWithSecrets(c) }

// encodeValueWithSecrets encodes a part of a configuration as JSON, with its secrets.
func encodeValueWithSecrets(v any) (jsontext.Value, error) {
	return json.Marshal(v, json.Deterministic(true), json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, s Secret) error {
		return e.WriteToken(jsontext.String(s.Reveal()))
	})))
}

// computeHash returns the hash of a configuration with its secrets. It is an HMAC, so a client cannot test guesses of a
// secret against it.
func (c *Config) computeHash() (string, error) {
	text, err := c.encodeWithSecrets()
	if err != nil {
		return "", err
	}
	document, err := std.AppendConfig(nil, section, text)
	if err != nil {
		return "", err
	}
	key, err := c.hashKey()
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(document)
	return strings.ToUpper(hex.EncodeToString(mac.Sum(nil))), nil
}

// processKey is the HMAC key of a daemon without a state-dir.
var processKey = randomKey()

// hashKey returns the HMAC key in the state-dir, and creates it if it does not exist.
func (c *Config) hashKey() ([]byte, error) {
	if c.StateDir == "" {
		return processKey, nil
	}
	path := filepath.Join(c.StateDir, "config.key")
	rules := c.fileRules()
	rules.Readers = trustedpath.OwnerOnly
	text, _, err := rules.ReadFile(path, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		err = sharedfile.Create(path, []byte(hex.EncodeToString(randomKey())+"\n"), 0o600)
		if err == nil || errors.Is(err, fs.ErrExist) { // another daemon may have created it at the same time
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
	_, _ = rand.Read(key) // crypto/rand never fails
	return key
}
