package std

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Configurable is a daemon whose configuration can be changed over the channel. Schema is called once, Shown and Hash
// on the loop. Test, Set, Reload and Write are called off the loop, several at a time, and may block. After an error nothing has
// changed, unless it is an *wire.Error with wire.CodeFatal (Kea's rule).
type Configurable interface {
	// Schema returns the schema of the configuration. It marks the secrets, which are never on
	// record in clear. nil: the configuration is any map.
	Schema() *schema.Schema

	// Shown returns the configuration in force without its secrets. Hash returns its hash, by which
	// clients notice that it has changed.
	Shown() any
	Hash() (string, error)

	// Test does the steps of Set that change nothing.
	Test(ctx context.Context, section wire.Value) error

	// Set puts another configuration in force, and Reload the one that is in the daemon's file now.
	Set(ctx context.Context, section wire.Value, how Change) (Applied, error)
	Reload(ctx context.Context, how Change) (Applied, error)

	// Write writes the configuration in force to the daemon's file. name is empty, or the file name in the
	// request, which must be that of this file.
	Write(ctx context.Context, name string) (Written, error)
}

// A Change has the conditions of a change of the configuration.
type Change struct {
	// IfHash is the hash that the configuration in force must have; empty: any hash. If it has
	// another, the error is ErrChanged.
	IfHash string

	// Force allows a change after which its caller could not give the same command again.
	Force bool
}

// ErrChanged is the error of a change whose IfHash is not the hash in force: another caller has changed the configuration.
var ErrChanged = &wire.Error{Code: wire.CodeConflict, Word: "changed", Text: "the configuration is not the one with the hash that was given; get it again"}

// Applied is the result of config-set and config-reload.
type Applied struct {
	Hash     string `json:"hash" doc:"64 upper-case hexadecimal digits."`
	Draining int    `json:"draining,omitzero" doc:"Open conns of listeners that the change removed: each is closed when its commands are answered, or after drain-timeout."`
}

// reply returns the reply to the command. Its text is Kea's where no conns are drained.
func (a Applied) reply() wire.Reply {
	text := "Configuration successful."
	switch {
	case a.Draining == 1:
		text += " 1 conn of a removed listener is drained."
	case a.Draining > 1:
		text += fmt.Sprintf(" %d conns of removed listeners are drained.", a.Draining)
	}
	return wire.Reply{Text: text, Arguments: a}
}

// Written is the result of config-write.
type Written struct {
	Filename string `json:"filename"`
	Size     int64  `json:"size" doc:"In bytes."`
	Backup   string `json:"backup,omitzero" doc:"The name of the file with the contents from before."`
}

// Configuration returns config-get, config-hash-get, config-test, config-set, config-reload and
// config-write, with Kea's arguments, texts and results, and arguments of ours: if-hash and force, and, of
// config-test and config-set, hash, so that a client can send back what config-get returned, edited.
// config-set and config-reload are critical: the service threads in Options.Critical pause while
// the configuration changes.
func Configuration(daemon string, c Configurable) []mgr.Command {
	s := settings{daemon, c}
	commands := config{daemon, func() (any, string, error) {
		hash, err := c.Hash()
		return c.Shown(), hash, err
	}}.commands()
	applied, err := schema.Of(reflect.TypeFor[Applied]())
	if err != nil {
		panic(err) // the type above is wrong
	}
	change := map[string]*schema.Schema{
		"if-hash": {Type: "string", Description: "Only if the configuration in force has this hash."},
		"force":   {Type: "boolean", Description: "Also if the caller could not change it again."},
	}
	described := c.Schema()
	if described == nil {
		described = &schema.Schema{Type: "object"}
	}
	described.Description = "The whole configuration, with the keys of the daemon's file; *** for a secret that stays as it is."
	section := map[string]*schema.Schema{
		daemon: described,
		"hash": {Type: "string", Description: "What config-get has beside the configuration; the same as if-hash."},
	}
	return append(commands,
		mgr.Command{
			Name: "config-test", Level: mgr.Admin, Async: true, Handler: s.test,
			Summary: "Check whether config-set would succeed.",
			Args:    &schema.Schema{Type: "object", Closed: true, Required: []string{daemon}, Properties: section},
		},
		mgr.Command{
			Name: "config-set", Level: mgr.Admin, Async: true, Critical: true, Handler: s.set, Returns: applied,
			Summary: "Put another configuration in force: all of it, or, after an error, nothing.",
			Args:    &schema.Schema{Type: "object", Closed: true, Required: []string{daemon}, Properties: with(section, change)},
		},
		mgr.Command{
			Name: "config-reload", Level: mgr.Admin, Async: true, Critical: true, Handler: s.reload, Returns: applied,
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

// members returns the arguments by their names. Arguments that are no map have none: Kea ignores those of config-reload.
func members(arguments wire.Value) map[string]jsontext.Value {
	var all map[string]jsontext.Value
	if arguments.Kind() == "map" {
		_ = json.Unmarshal(arguments, &all)
	}
	return all
}

// changeOf reads the conditions of a change. names are the members that have a hash: if-hash, hash or both. A hash of a
// wrong type and an empty one are errors.
func changeOf(arguments wire.Value, names ...string) (how Change, err error) {
	all := members(arguments)
	for _, name := range names {
		text, ok := all[name]
		if !ok {
			continue
		}
		var hash string
		switch {
		case wire.Value(text).Kind() != "string" || json.Unmarshal(text, &hash) != nil:
			return how, mistyped(name, "a string")
		case hash == "":
			return how, wrong(name, "'%s' parameter is empty; give the hash that config-get returns, or leave it out", name)
		case how.IfHash != "" && how.IfHash != hash:
			return how, wrong(name, "'%s' parameter is another hash than '%s'", name, names[0])
		}
		how.IfHash = hash
	}
	if text, ok := all["force"]; ok {
		if wire.Value(text).Kind() != "boolean" || json.Unmarshal(text, &how.Force) != nil {
			return how, mistyped("force", "a boolean")
		}
	}
	return how, nil
}

func mistyped(name, want string) error {
	return wrong(name, "'%s' parameter expected to be %s.", name, want)
}

func wrong(name, format string, args ...any) error {
	bad := wire.Errorf(wire.CodeError, "bad-arguments", format, args...)
	bad.Fields = []wire.Field{{Pointer: "/" + name, Text: bad.Text}}
	return bad
}

// sectionOf returns the configuration in the arguments. Its errors have Kea's texts, in Kea's
// order.
func (s settings) sectionOf(call *mgr.Call) (wire.Value, error) {
	if call.Arguments == nil {
		return nil, wire.Errorf(wire.CodeError, "bad-arguments", "Missing mandatory 'arguments' parameter.")
	}
	if kind := call.Arguments.Kind(); kind != "map" {
		return nil, wire.Errorf(wire.CodeError, "bad-arguments", "invalid command '%s': expected 'arguments' to be a map, got %s instead", call.Name, kind)
	}
	all, known := members(call.Arguments), call.Command.Args.Properties
	bad := &wire.Error{Code: wire.CodeError, Word: "bad-arguments"}
	unsupported, ofSection := "", ""
	for _, problem := range call.Command.Args.Check(call.Arguments) {
		bad.Fields = append(bad.Fields, wire.Field{Pointer: problem.Pointer, Text: problem.Text})
		if problem.Pointer == "/"+s.daemon {
			ofSection = problem.Text
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch {
		case known[name] != nil || len(unsupported) > longEnough:
		case unsupported == "":
			unsupported = fmt.Sprintf("Unsupported '%s' parameter", wire.Shorten(name))
		default:
			unsupported += fmt.Sprintf(" (and '%s')", wire.Shorten(name))
		}
	}
	switch {
	case len(bad.Fields) == 0:
		return wire.Value(all[s.daemon]), nil
	case ofSection != "":
		bad.Text = ofSection
	case unsupported != "":
		bad.Text = unsupported + "."
	default:
		bad.Text = bad.Fields[0].Text
	}
	return nil, bad
}

// longEnough is the length, in bytes, of a text that names no further mistakes.
const longEnough = 500

func (s settings) test(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
	section, err := s.sectionOf(call)
	if err != nil {
		return wire.Reply{}, err
	}
	how, err := changeOf(call.Arguments, "hash")
	if err != nil {
		return wire.Reply{}, err
	}
	if err := mgr.OnLoop(ctx, func() error { return s.unchanged(how.IfHash) }); err != nil {
		return wire.Reply{}, err
	}
	if err := s.c.Test(ctx, section); err != nil {
		return wire.Reply{}, err
	}
	return wire.Reply{Text: "Configuration seems sane. Listeners, hook libraries and files were tried, but not applied."}, nil
}

// unchanged returns ErrChanged if the configuration in force has another hash than ifHash. An empty ifHash fits each.
func (s settings) unchanged(ifHash string) error {
	if ifHash == "" {
		return nil
	}
	hash, err := s.c.Hash()
	if err == nil && hash != ifHash {
		err = ErrChanged
	}
	return err
}

func (s settings) set(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
	section, err := s.sectionOf(call)
	if err != nil {
		return wire.Reply{}, err
	}
	how, err := changeOf(call.Arguments, "if-hash", "hash")
	if err != nil {
		return wire.Reply{}, err
	}
	applied, err := s.c.Set(ctx, section, how)
	if err != nil {
		return wire.Reply{}, err
	}
	return applied.reply(), nil
}

func (s settings) reload(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
	how, err := changeOf(call.Arguments, "if-hash")
	if err != nil {
		return wire.Reply{}, err
	}
	applied, err := s.c.Reload(ctx, how)
	if err != nil {
		return wire.Reply{}, err
	}
	return applied.reply(), nil
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
