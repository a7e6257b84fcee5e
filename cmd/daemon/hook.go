package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
)

// A Hook is a hook library: a program that adds commands to the daemon.
type Hook struct {
	Name       string            `toml:"name" json:"name"`
	Exec       []string          `toml:"exec" json:"exec"`
	Env        []string          `toml:"env,omitempty" json:"env,omitempty"`
	Parameters map[string]any    `toml:"parameters,omitempty" json:"parameters,omitempty"`
	Secrets    map[string]Secret `toml:"secrets,omitempty" json:"secrets,omitempty"`
	Overrides  []string          `toml:"overrides,omitempty" json:"overrides,omitempty"`
	Timeout    Duration          `toml:"timeout" json:"timeout"`
	MaxOutput  Size              `toml:"max-output" json:"max-output"`
}

// A Secret is a value that config-get does not show. Only the daemon's own file has it.
type Secret struct{ mgr.Secret }

// MarshalTOML implements toml.Marshaler, for config-write.
func (s Secret) MarshalTOML() ([]byte, error) { return []byte(quoteTOML(s.Reveal())), nil }

// quoteTOML returns s as a basic string of TOML.
func quoteTOML(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// complete checks the values and fills in the defaults.
func (h *Hook) complete(c *Config) error {
	switch {
	case h.Name == "":
		return errors.New("name: missing; lists and logs use it")
	case len(h.Exec) == 0 || h.Exec[0] == "":
		return errors.New("exec: missing; it is the program, with its arguments")
	case h.Timeout < 0:
		return errors.New("timeout: must be above 0")
	case h.MaxOutput < 0:
		return errors.New("max-output: must be above 0")
	}
	h.Exec[0] = c.absolute(h.Exec[0])
	if h.Timeout == 0 {
		h.Timeout = Duration(30 * time.Second)
	}
	if h.MaxOutput == 0 {
		h.MaxOutput = 1 << 20
	}
	for name := range h.Secrets {
		if _, twice := h.Parameters[name]; twice {
			return fmt.Errorf("secrets.%s: is also in parameters", name)
		}
	}
	return nil
}

// hookConfig returns the configuration for package hooks.
func (h *Hook) hookConfig(trust []uint32) (hooks.Config, error) {
	parameters := make(map[string]any, len(h.Parameters)+len(h.Secrets))
	for name, value := range h.Parameters {
		parameters[name] = value
	}
	for name, secret := range h.Secrets {
		parameters[name] = secret.Reveal()
	}
	text, err := json.Marshal(parameters, json.Deterministic(true))
	return hooks.Config{
		Stamp: fileStamp(h.Exec), TrustOwners: trust,
		Name: h.Name, Exec: h.Exec, Dir: filepath.Dir(h.Exec[0]), Env: h.Env, Parameters: wire.Value(text),
		Overrides: h.Overrides, Timeout: time.Duration(h.Timeout), MaxOutput: int(h.MaxOutput),
	}, err
}

// fileStamp returns a text that changes when the program, or a file among its arguments, is edited.
func fileStamp(argv []string) string {
	var stamp strings.Builder
	for _, path := range argv {
		if info, err := os.Stat(path); filepath.IsAbs(path) && err == nil {
			fmt.Fprintf(&stamp, "%d %d;", info.ModTime().UnixNano(), info.Size())
		}
	}
	return stamp.String()
}
