package std

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Config returns config-get and config-hash-get. get runs on the loop and returns the configuration
// in force without its secrets. config-get returns it under the daemon's name, with its hash
// beside it. A daemon whose configuration can be changed over the
// channel uses Configuration instead.
func Config(daemon string, get func() any) []mgr.Command {
	return config{daemon, func() (any, string, error) {
		shown := get()
		hash, err := HashConfig(daemon, shown)
		return shown, hash, err
	}}.commands()
}

type config struct {
	daemon  string
	current func() (shown any, hash string, err error)
}

func (c config) commands() []mgr.Command {
	commands := []mgr.Command{
		mgr.Func("config-get", "Return the configuration in force.", mgr.Admin, c.get, mgr.AnyArguments()),
		mgr.Func("config-hash-get", "Return a hash of the configuration in force, to see whether it has changed.", mgr.Read, c.hash, mgr.AnyArguments()),
	}
	commands[0].Returns = &schema.Schema{Type: "object", Required: []string{c.daemon, "hash"}, Properties: map[string]*schema.Schema{
		c.daemon: {Type: "object"},
		"hash":   {Type: "string", Description: "64 upper-case hexadecimal digits."},
	}}
	return commands
}

type configHash struct {
	Hash string `json:"hash" doc:"64 upper-case hexadecimal digits."`
}

func (c config) get(context.Context, mgr.None) (map[string]any, error) {
	shown, hash, err := c.current()
	return map[string]any{c.daemon: shown, "hash": hash}, err
}

func (c config) hash(context.Context, mgr.None) (configHash, error) {
	_, hash, err := c.current()
	return configHash{hash}, err
}

// HashConfig returns the hash of a configuration as Kea makes it since 2.4.0: the SHA-256, in upper-case
// hexadecimal, of the map under the daemon's name as Kea would write it.
func HashConfig(daemon string, shown any) (string, error) {
	text, err := AppendConfig(nil, daemon, shown)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%X", sha256.Sum256(text)), nil
}

// AppendConfig appends the text that HashConfig hashes, for a caller that hashes it with a key.
func AppendConfig(dst []byte, daemon string, shown any) ([]byte, error) {
	section, err := json.Marshal(shown)
	if err != nil {
		return dst, err
	}
	whole, err := json.Marshal(map[string]jsontext.Value{daemon: section})
	if err != nil {
		return dst, err
	}
	return appendKea(dst, whole)
}
