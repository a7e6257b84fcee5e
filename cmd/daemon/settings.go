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

// section is the name under which the configuration travels.
const section = "Rudderpost"

// settings are the daemon's configuration as std.Configuration wants it. Changes come one after the other,
// from the reading of the configuration that is in force to the dropping of what it does not need any more: so
// a hash that was compared is still the one that is replaced.
type settings struct {
	d    *daemon
	turn chan struct{} // holds a token while nobody changes anything
}

var _ std.Configurable = (*settings)(nil)

func newSettings(d *daemon) *settings {
	s := &settings{d, make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// Schema implements std.Configurable. Nothing is required: what is missing has its default, or stays.
func (s *settings) Schema() *schema.Schema {
	described, err := schema.Of(reflect.TypeFor[Config]())
	if err != nil {
		panic(err) // the type above all of this is wrong
	}
	unrequire(described)
	return described
}

func unrequire(s *schema.Schema) {
	if s == nil {
		return
	}
	s.Required = nil
	for _, member := range s.Properties {
		unrequire(member)
	}
	unrequire(s.Items)
	unrequire(s.Values)
}

// Shown implements std.Configurable.
func (s *settings) Shown() any { return s.d.inForce.Load().Config }

// Hash implements std.Configurable.
func (s *settings) Hash() (string, error) { return s.d.inForce.Load().hash, nil }

// Test implements std.Configurable: it makes everything that Set would make, and undoes it.
func (s *settings) Test(ctx context.Context, text wire.Value) error {
	return s.alone(ctx, func() error {
		next, err := s.fromWire(text)
		if err != nil {
			return err
		}
		c, err := s.d.prepare(ctx, next)
		if err == nil {
			c.discard()
		}
		return err
	})
}

// Set implements std.Configurable.
func (s *settings) Set(ctx context.Context, text wire.Value, how std.Change) (applied std.Applied, err error) {
	err = s.alone(ctx, func() error {
		applied, err = s.change(ctx, how, func() (*Config, error) { return s.fromWire(text) })
		return err
	})
	return applied, err
}

// Reload implements std.Configurable.
func (s *settings) Reload(ctx context.Context, how std.Change) (applied std.Applied, err error) {
	if s.d.file == "" {
		return std.Applied{}, errNoFile
	}
	err = s.alone(ctx, func() error {
		applied, err = s.change(ctx, how, func() (*Config, error) { return load(s.d.file, s.d.inForce.Load().trust...) })
		return err
	})
	if bad, ok := errors.AsType[*wire.Error](err); err != nil && (!ok || bad.Code == wire.CodeError) {
		return std.Applied{}, fmt.Errorf("Config reload failed: configuration error using file '%s': %w", s.d.file, err) // Kea's words
	}
	return applied, err
}

var errNoFile = errors.New("there is no configuration file: the daemon was started without one (-c)")

// alone runs f while nobody else changes anything.
func (s *settings) alone(ctx context.Context, f func() error) error {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { s.turn <- struct{}{} }()
	return f()
}

// change puts another configuration in force.
func (s *settings) change(ctx context.Context, how std.Change, read func() (*Config, error)) (std.Applied, error) {
	if how.IfHash != "" && how.IfHash != s.d.inForce.Load().hash {
		return std.Applied{}, std.ErrChanged
	}
	if err := failpoint("before parse"); err != nil {
		return std.Applied{}, err
	}
	next, err := read()
	if err != nil {
		return std.Applied{}, err
	}
	c, err := s.d.prepare(ctx, next)
	if err != nil {
		return std.Applied{}, err
	}
	if !how.Force {
		err = c.checkLockOut(ctx)
	}
	if err == nil {
		err = mgr.OnLoop(ctx, c.commit)
	}
	if err != nil {
		c.discard()
		return std.Applied{}, err
	}
	draining := c.finish()
	if draining > 0 {
		s.d.log.Info("conns of removed listeners are drained", "conns", draining)
	}
	c.say(s.d.stdout, s.d.log)
	s.d.reloaded()
	return std.Applied{Hash: c.next.hash, Draining: draining}, nil
}

// kind is what peers of a listener have as their transport.
func (l *Listen) kind() string {
	kind, _, _ := strings.Cut(l.url(nowhere{}), ":")
	return kind
}

type nowhere struct{}

func (nowhere) Network() string { return "" }
func (nowhere) String() string  { return "x" }

// fromWire makes a configuration of what came over the channel. What may not be set there is as it is, and
// must be so in the text, if it is there.
func (s *settings) fromWire(text wire.Value) (*Config, error) {
	running, err := s.d.inForce.Load().clone()
	if err != nil {
		return nil, err
	}
	kept, err := s.d.inForce.Load().clone() // decoding may write into what it finds
	if err != nil {
		return nil, err
	}
	next := defaults()
	next.dir, next.trust = running.dir, running.trust
	keepFrozen(kept, next)
	if err := json.Unmarshal(text, next, json.RejectUnknownMembers(true), wholeNumbers); err != nil {
		return nil, badSetting(err)
	}
	if err := thaw(running, next); err != nil {
		return nil, err
	}
	if err := next.complete(); err != nil {
		return nil, wire.Errorf(wire.CodeError, "bad-configuration", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return next, nil
}

// clone returns a copy that shares nothing with c.
func (c *Config) clone() (*Config, error) {
	text, err := c.revealed()
	if err != nil {
		return nil, err
	}
	other := &Config{dir: c.dir, trust: c.trust}
	return other, json.Unmarshal(text, other, wholeNumbers)
}

// wholeNumbers keeps numbers as TOML has them where a value may be of any type: as floats, large ones would
// come back as others.
var wholeNumbers = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *any) error {
	if d.PeekKind() != '0' {
		return errors.ErrUnsupported // the package does it
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

// badSetting says which setting the JSON package could not read.
func badSetting(err error) error {
	bad := &wire.Error{Code: wire.CodeError, Word: "bad-configuration"}
	e, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		bad.Text = err.Error()
		return bad
	}
	at := jsontext.Pointer("/" + section + string(e.JSONPointer))
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		bad.Text = fmt.Sprintf("Unsupported '%s' parameter.", e.JSONPointer.LastToken())
	case e.Err != nil:
		bad.Text = fmt.Sprintf("'%s' parameter: %v", e.JSONPointer.LastToken(), e.Err)
	default:
		bad.Text = fmt.Sprintf("'%s' parameter has the wrong type", e.JSONPointer.LastToken())
	}
	bad.Fields = []wire.Field{{Pointer: string(at), Text: bad.Text}}
	return bad
}
