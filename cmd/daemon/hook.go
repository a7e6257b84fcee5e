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

// A Hook is a hook library: a program of anybody's that adds commands.
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

// A Secret is a value of the configuration that is shown to nobody, and written to the daemon's file only.
type Secret struct{ mgr.Secret }

// MarshalTOML implements toml.Marshaler: it is for config-write.
func (s Secret) MarshalTOML() ([]byte, error) { return []byte(quoteTOML(s.Reveal())), nil }

// quoteTOML writes a basic string of TOML.
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

// complete checks the values, and fills in what is not said.
func (h *Hook) complete(c *Config) error {
	switch {
	case h.Name == "":
		return errors.New("name: missing; it is what lists and logs call the library")
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
			return fmt.Errorf("secrets.%s: is among the parameters too", name)
		}
	}
	return nil
}

// config is what package hooks wants to know of the library.
func (h *Hook) config(trust []uint32) (hooks.Config, error) {
	parameters := make(map[string]any, len(h.Parameters)+len(h.Secrets))
	for name, value := range h.Parameters {
		parameters[name] = value
	}
	for name, secret := range h.Secrets {
		parameters[name] = secret.Reveal()
	}
	text, err := json.Marshal(parameters, json.Deterministic(true))
	return hooks.Config{
		Stamp: stampOf(h.Exec), TrustOwners: trust,
		Name: h.Name, Exec: h.Exec, Dir: filepath.Dir(h.Exec[0]), Env: h.Env, Parameters: wire.Value(text),
		Overrides: h.Overrides, Timeout: time.Duration(h.Timeout), MaxOutput: int(h.MaxOutput),
	}, err
}

// stampOf tells a program, and files that it is given, from what they were before an edit.
func stampOf(argv []string) string {
	var stamp strings.Builder
	for _, path := range argv {
		if info, err := os.Stat(path); filepath.IsAbs(path) && err == nil {
			fmt.Fprintf(&stamp, "%d %d;", info.ModTime().UnixNano(), info.Size())
		}
	}
	return stamp.String()
}
