package std

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Config returns config-get and config-hash-get. get runs on the loop and returns the configuration
// in force, as it may be shown: without secrets. It is told under the daemon's name, with a hash
// beside it, which is that of what is shown. A daemon whose configuration can be changed over the
// channel has Configuration instead.
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

// AppendConfig appends the text that is hashed, for those who hash it with a key.
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

// A Configurable is a daemon whose configuration can be changed over the channel. Shown and Hash run on
// the loop; the others beside it, many at once, and wait. An error changes nothing, unless it is an
// *wire.Error with wire.CodeFatal (Kea's rule).
type Configurable interface {
	// Schema describes the configuration, and says what in it is secret: arguments with that are never on
	// record in clear. nil: it is any map. It is asked once.
	Schema() *schema.Schema

	// Shown returns the configuration in force as it may be shown, and Hash its hash, by which its
	// readers know whether it has changed since.
	Shown() any
	Hash() (string, error)

	// Test does what Set does, as far as nothing changes by it.
	Test(ctx context.Context, section wire.Value) error

	// Set puts another configuration in force, and Reload the one that is in the daemon's file now. They
	// return its hash.
	Set(ctx context.Context, section wire.Value, how Change) (hash string, err error)
	Reload(ctx context.Context, how Change) (hash string, err error)

	// Write writes the configuration in force to the daemon's file. name is empty, or which file the caller
	// thinks that is.
	Write(ctx context.Context, name string) (Written, error)
}

// A Change says under which circumstances a configuration is to be changed.
type Change struct {
	// IfHash is what the hash of the configuration in force must be; empty: whatever it is. If it is
	// another, the error is ErrChanged.
	IfHash string

	// Force makes a change also when nobody who could make it could undo it through the channel.
	Force bool
}

// ErrChanged says that somebody else has changed the configuration.
var ErrChanged = &wire.Error{Code: wire.CodeConflict, Word: "changed", Text: "the configuration is not the one with the hash that was given; get it again"}

// Written is what config-write has written.
type Written struct {
	Filename string `json:"filename"`
	Size     int64  `json:"size" doc:"In bytes."`
	Backup   string `json:"backup,omitzero" doc:"Where the file is that was there before."`
}

// Configuration returns config-get, config-hash-get, config-test, config-set, config-reload and
// config-write, with Kea's arguments, texts and results, and two arguments of ours: if-hash and force.
// config-set and config-reload are critical: the service threads that Options.Critical knows stand still while
// the configuration changes.
func Configuration(daemon string, c Configurable) []mgr.Command {
	s := settings{daemon, c}
	commands := config{daemon, func() (any, string, error) {
		hash, err := c.Hash()
		return c.Shown(), hash, err
	}}.commands()
	hash := &schema.Schema{Type: "object", Required: []string{"hash"}, Properties: map[string]*schema.Schema{"hash": {Type: "string"}}}
	change := map[string]*schema.Schema{
		"if-hash": {Type: "string", Description: "Only if the configuration in force has this hash."},
		"force":   {Type: "boolean", Description: "Also if the caller could not change it again."},
	}
	described := c.Schema()
	if described == nil {
		described = &schema.Schema{Type: "object"}
	}
	described.Description = "The whole configuration, with the keys of the daemon's file; *** where a secret is to stay."
	section := map[string]*schema.Schema{daemon: described}
	return append(commands,
		mgr.Command{
			Name: "config-test", Level: mgr.Admin, Async: true, Handler: s.test,
			Summary: "Say whether config-set would succeed.",
			Args:    &schema.Schema{Type: "object", Closed: true, Required: []string{daemon}, Properties: section},
		},
		mgr.Command{
			Name: "config-set", Level: mgr.Admin, Async: true, Critical: true, Handler: s.set, Returns: hash,
			Summary: "Put another configuration in force: all of it, or, after an error, nothing.",
			Args:    &schema.Schema{Type: "object", Closed: true, Required: []string{daemon}, Properties: with(section, change)},
		},
		mgr.Command{
			Name: "config-reload", Level: mgr.Admin, Async: true, Critical: true, Handler: s.reload, Returns: hash,
			Summary: "Put the configuration in force that is in the daemon's file: all of it, or, after an error, nothing.",
			Args:    &schema.Schema{Type: "object", Properties: change},
		},
		mgr.Command{
			Name: "config-write", Level: mgr.Admin, Async: true, Handler: s.write,
			Summary: "Write the configuration in force to the daemon's file; the one before stays beside it.",
			Args:    &schema.Schema{Type: "object", Properties: map[string]*schema.Schema{"filename": {Type: "string", Description: "If given, it must be that file."}}},
		},
	)
}

func with(maps ...map[string]*schema.Schema) map[string]*schema.Schema {
	all := map[string]*schema.Schema{}
	for _, m := range maps {
		for name, s := range m {
			all[name] = s
		}
	}
	return all
}

type settings struct {
	daemon string
	c      Configurable
}

// members are the arguments by their names. Kea ignores what config-reload is given, if it is no map.
func members(arguments wire.Value) map[string]jsontext.Value {
	var all map[string]jsontext.Value
	if arguments.Kind() == "map" {
		_ = json.Unmarshal(arguments, &all)
	}
	return all
}

// changeOf reads the circumstances of a change. A condition that cannot be read is not one that is met.
func changeOf(arguments wire.Value) (how Change, err error) {
	all := members(arguments)
	if text, ok := all["if-hash"]; ok {
		if text.Kind() != '"' || json.Unmarshal(text, &how.IfHash) != nil {
			return how, mistyped("if-hash", "a string")
		}
		if how.IfHash == "" { // a script's variable that was never set
			return how, mistyped("if-hash", "a hash, and not empty")
		}
	}
	if text, ok := all["force"]; ok {
		if kind := text.Kind(); kind != 't' && kind != 'f' || json.Unmarshal(text, &how.Force) != nil {
			return how, mistyped("force", "a boolean")
		}
	}
	return how, nil
}

func mistyped(name, want string) error {
	text := fmt.Sprintf("'%s' parameter expected to be %s.", name, want)
	return &wire.Error{Code: wire.CodeError, Word: "bad-arguments", Text: text, Fields: []wire.Field{{Pointer: "/" + name, Text: text}}}
}

// sectionOf returns the configuration among the arguments. What is wrong with them is told in Kea's words.
func (s settings) sectionOf(call *mgr.Call) (wire.Value, error) {
	bad := &wire.Error{Code: wire.CodeError, Word: "bad-arguments"}
	if call.Arguments == nil {
		bad.Text = "Missing mandatory 'arguments' parameter."
		return nil, bad
	}
	for _, problem := range call.Command.Args.Check(call.Arguments) {
		bad.Fields = append(bad.Fields, wire.Field{Pointer: problem.Pointer, Text: problem.Text})
	}
	if len(bad.Fields) > 0 {
		bad.Text = bad.Fields[0].Text
		return nil, bad
	}
	return wire.Value(members(call.Arguments)[s.daemon]), nil
}

func (s settings) test(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
	section, err := s.sectionOf(call)
	if err != nil {
		return wire.Reply{}, err
	}
	if err := s.c.Test(ctx, section); err != nil {
		return wire.Reply{}, err
	}
	return wire.Reply{Text: "Configuration seems sane. Listeners, hook libraries and files were tried, but not applied."}, nil
}

func (s settings) set(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
	section, err := s.sectionOf(call)
	if err != nil {
		return wire.Reply{}, err
	}
	how, err := changeOf(call.Arguments)
	if err != nil {
		return wire.Reply{}, err
	}
	hash, err := s.c.Set(ctx, section, how)
	if err != nil {
		return wire.Reply{}, err
	}
	return wire.Reply{Text: "Configuration successful.", Arguments: configHash{hash}}, nil
}

func (s settings) reload(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
	how, err := changeOf(call.Arguments)
	if err != nil {
		return wire.Reply{}, err
	}
	hash, err := s.c.Reload(ctx, how)
	if err != nil {
		return wire.Reply{}, err
	}
	return wire.Reply{Text: "Configuration successful.", Arguments: configHash{hash}}, nil
}

func (s settings) write(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
	name := ""
	if call.Arguments != nil {
		if call.Arguments.Kind() != "map" {
			return wire.Reply{}, wire.Errorf(wire.CodeError, "bad-arguments", "Argument must be a map")
		}
		if given, ok := members(call.Arguments)["filename"]; ok {
			if given.Kind() != '"' {
				return wire.Reply{}, wire.Errorf(wire.CodeError, "bad-arguments", "passed parameter 'filename' is not a string")
			}
			_ = json.Unmarshal(given, &name)
		}
	}
	written, err := s.c.Write(ctx, name)
	if err != nil {
		return wire.Reply{}, err
	}
	return wire.Reply{Text: "Configuration written to " + written.Filename + " successful", Arguments: written}, nil
}
