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
// in force, as it may be shown: without secrets. It is told under the daemon's name, with a hash
// beside it.
func Config(daemon string, get func() any) []mgr.Command {
	c := config{daemon: daemon, current: get}
	commands := []mgr.Command{
		mgr.Func("config-get", "Return the configuration in force.", mgr.Admin, c.get, mgr.AnyArguments()),
		mgr.Func("config-hash-get", "Return a hash of the configuration in force, to see whether it has changed.", mgr.Read, c.hash, mgr.AnyArguments()),
	}
	commands[0].Returns = &schema.Schema{Type: "object", Required: []string{daemon, "hash"}, Properties: map[string]*schema.Schema{
		daemon: {Type: "object"},
		"hash": {Type: "string", Description: "64 upper-case hexadecimal digits."},
	}}
	return commands
}

type config struct {
	daemon  string
	current func() any
}

type configHash struct {
	Hash string `json:"hash" doc:"64 upper-case hexadecimal digits."`
}

func (c config) get(context.Context, mgr.None) (map[string]any, error) {
	section, hash, err := c.read()
	return map[string]any{c.daemon: section, "hash": hash}, err
}

func (c config) hash(context.Context, mgr.None) (configHash, error) {
	_, hash, err := c.read()
	return configHash{hash}, err
}

// read returns the configuration as JSON, and its hash: SHA-256 of the map as Kea would write it
// (Kea's rule since 2.4.0).
func (c config) read() (section jsontext.Value, hash string, err error) {
	if section, err = json.Marshal(c.current()); err != nil {
		return nil, "", err
	}
	whole, err := json.Marshal(map[string]jsontext.Value{c.daemon: section})
	if err != nil {
		return nil, "", err
	}
	text, err := appendKea(nil, whole)
	return section, fmt.Sprintf("%X", sha256.Sum256(text)), err
}
