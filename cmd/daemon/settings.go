package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// section is the name of the map with the configuration in config-get and config-set.
const section = "Rudderpost"

// settings implements std.Configurable for the daemon. Transactions run one after the other, from the read of the
// current hash to the finish. So a hash that was compared is the one that is replaced.
type settings struct {
	d    *daemon
	idle chan struct{} // holds a token while no transaction runs
}

var _ std.Configurable = (*settings)(nil)

func newSettings(d *daemon) *settings {
	s := &settings{d, make(chan struct{}, 1)}
	s.idle <- struct{}{}
	return s
}

// Schema implements std.Configurable. No member is required: a missing one has its default, or keeps its value.
func (s *settings) Schema() *schema.Schema {
	described, err := schema.Of(reflect.TypeFor[Config]())
	if err != nil {
		panic(err) // the type Config has an error
	}
	clearRequired(described)
	return described
}

func clearRequired(s *schema.Schema) {
	if s == nil {
		return
	}
	s.Required = nil
	for _, member := range s.Properties {
		clearRequired(member)
	}
	clearRequired(s.Items)
	clearRequired(s.Values)
}

// Shown implements std.Configurable.
func (s *settings) Shown() any { return s.d.current.Load().Config }

// Hash implements std.Configurable.
func (s *settings) Hash() (string, error) { return s.d.current.Load().hash, nil }

// Test implements std.Configurable. It prepares a transaction as Set does, and discards it.
func (s *settings) Test(ctx context.Context, text wire.Value) error {
	return s.exclusively(ctx, func() error {
		next, err := s.fromWire(text)
		if err != nil {
			return err
		}
		tx, err := s.d.prepare(ctx, next)
		if err == nil {
			tx.discard()
		}
		return err
	})
}

// Set implements std.Configurable.
func (s *settings) Set(ctx context.Context, text wire.Value, how std.Change) (applied std.Applied, err error) {
	err = s.exclusively(ctx, func() error {
		applied, err = s.apply(ctx, how, func() (*Config, error) { return s.fromWire(text) })
		return err
	})
	return applied, err
}

// Reload implements std.Configurable.
func (s *settings) Reload(ctx context.Context, how std.Change) (applied std.Applied, err error) {
	if s.d.file == "" {
		return std.Applied{}, errNoFile
	}
	err = s.exclusively(ctx, func() error {
		applied, err = s.apply(ctx, how, func() (*Config, error) { return load(s.d.file, s.d.current.Load().trust...) })
		return err
	})
	if rerr, ok := errors.AsType[*wire.Error](err); err != nil && (!ok || rerr.Code == wire.CodeError) {
		return std.Applied{}, fmt.Errorf("Config reload failed: configuration error using file '%s': %w", s.d.file, err) // Kea's words
	}
	return applied, err
}

var errNoFile = errors.New("there is no configuration file: the daemon was started without one (-c)")

// exclusively runs f while no other transaction runs. It waits for its turn until ctx ends.
func (s *settings) exclusively(ctx context.Context, f func() error) error {
	select {
	case <-s.idle:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { s.idle <- struct{}{} }()
	return f()
}

// apply runs a transaction: it prepares the configuration that read returns, checks it, and commits it on the loop.
func (s *settings) apply(ctx context.Context, how std.Change, read func() (*Config, error)) (std.Applied, error) {
	if how.IfHash != "" && how.IfHash != s.d.current.Load().hash {
		return std.Applied{}, std.ErrChanged
	}
	if err := failpoint("before parse"); err != nil {
		return std.Applied{}, err
	}
	next, err := read()
	if err != nil {
		return std.Applied{}, err
	}
	tx, err := s.d.prepare(ctx, next)
	if err != nil {
		return std.Applied{}, err
	}
	if !how.Force {
		err = tx.checkLockOut(ctx)
	}
	if err == nil {
		err = mgr.OnLoop(ctx, tx.commit)
	}
	if err != nil {
		tx.discard()
		return std.Applied{}, err
	}
	draining := tx.finish()
	if draining > 0 {
		s.d.log.Info("conns of removed listeners are drained", "conns", draining)
	}
	tx.announce(s.d.stdout, s.d.log)
	s.d.noteReload()
	return std.Applied{Hash: tx.next.hash, Draining: draining}, nil
}

// peerTransport returns the transport of the listener's peers.
func (l *Listen) peerTransport() string {
	kind, _, _ := strings.Cut(l.url(placeholderAddr{}), ":")
	return kind
}

type placeholderAddr struct{}

func (placeholderAddr) Network() string { return "" }
func (placeholderAddr) String() string  { return "x" }

// fromWire decodes a configuration from the channel. Read-only values are copied from the one in force; if text has
// them, they must be equal.
func (s *settings) fromWire(text wire.Value) (*Config, error) {
	running, err := s.d.current.Load().clone()
	if err != nil {
		return nil, err
	}
	kept, err := s.d.current.Load().clone() // a second copy, because decoding may write into it
	if err != nil {
		return nil, err
	}
	next := defaults()
	next.dir, next.trust = running.dir, running.trust
	copyReadOnly(kept, next)
	if err := json.Unmarshal(text, next, json.RejectUnknownMembers(true), wholeNumbers); err != nil {
		return nil, settingError(err)
	}
	if err := checkReadOnly(running, next); err != nil {
		return nil, err
	}
	if err := next.complete(); err != nil {
		return nil, wire.Errorf(wire.CodeError, "bad-configuration", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return next, nil
}

// clone returns a deep copy of c.
func (c *Config) clone() (*Config, error) {
	text, err := c.encodeWithSecrets()
	if err != nil {
		return nil, err
	}
	other := &Config{dir: c.dir, trust: c.trust}
	return other, json.Unmarshal(text, other, wholeNumbers)
}

// wholeNumbers decodes whole numbers as int64, as TOML does, where a value may have any type. As a float64, a large
// number would change.
var wholeNumbers = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *any) error {
	if d.PeekKind() != '0' {
		return errors.ErrUnsupported // the default decoder handles it
	}
	text, err := d.ReadValue()
	if err != nil {
		return err
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil && string(text) != "-0" {
		*v = n
		return nil
	}
	*v, err = strconv.ParseFloat(string(text), 64)
	return err
}))

// settingError converts an error of the JSON package, and names the setting.
func settingError(err error) error {
	rerr := &wire.Error{Code: wire.CodeError, Word: "bad-configuration"}
	e, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		rerr.Text = err.Error()
		return rerr
	}
	at := jsontext.Pointer("/" + section + string(e.JSONPointer))
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		rerr.Text = fmt.Sprintf("Unsupported '%s' parameter.", e.JSONPointer.LastToken())
	case e.Err != nil:
		rerr.Text = fmt.Sprintf("'%s' parameter: %v", e.JSONPointer.LastToken(), e.Err)
	default:
		rerr.Text = fmt.Sprintf("'%s' parameter has the wrong type", e.JSONPointer.LastToken())
	}
	rerr.Fields = []wire.Field{{Pointer: string(at), Text: rerr.Text}}
	return rerr
}
