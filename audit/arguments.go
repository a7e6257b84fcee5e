package audit

import (
	"bytes"
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"

	"github.com/go-json-experiment/json/jsontext"
)

// arguments sets the digest of a call's arguments in an entry. With the option Clear it also sets their text, if no
// part of it can be secret.
func (l *Log) arguments(e *record.Entry, call *mgr.Call, b *batch) {
	if call.Arguments == nil {
		return
	}
	if call.Command != nil && l.schemas.secret(call.Command) {
		e.Digest = digestWithout(call.Command.Args, call.Arguments)
		return
	}
	e.Digest = sha256.Sum256(call.Arguments)
	if l.opts.Load().Arguments != Clear || call.Command == nil || call.Command.Args == nil || len(call.Arguments) > record.MaxLine {
		return
	}
	start := len(b.text)
	b.text = record.AppendCompact(b.text, call.Arguments)
	if text := b.text[start:]; len(text) <= record.MaxArguments {
		e.Arguments = text[:len(text):len(text)]
	}
}

// digestWithout returns the digest of arguments in which all values that are, or may be, secret are replaced.
// Otherwise a reader of the digest could try secrets until the digest matches.
func digestWithout(s *schema.Schema, arguments []byte) record.Hash {
	d := jsontext.NewDecoder(bytes.NewReader(arguments))
	text, err := appendHidden(nil, d, s)
	if err != nil { // cannot happen, since the arguments are well-formed
		text = hidden
	}
	return sha256.Sum256(text)
}

var hidden = []byte(`"` + mgr.Hidden + `"`)

// appendHidden appends the next value of d, compact, with secrets replaced. A value that the schema does not
// describe, or that has another type, is replaced too: it may be a secret in the wrong place.
func appendHidden(dst []byte, d *jsontext.Decoder, s *schema.Schema) ([]byte, error) {
	kind := d.PeekKind()
	if s == nil || s.Secret || !fits(kind, s.Type) {
		return append(dst, hidden...), d.SkipValue()
	}
	if kind != '{' && kind != '[' {
		value, err := d.ReadValue()
		return append(dst, value...), err
	}
	open, err := d.ReadToken()
	if err != nil {
		return dst, err
	}
	dst = append(dst, open.String()...)
	for first := true; d.PeekKind() != '}' && d.PeekKind() != ']'; first = false {
		if !first {
			dst = append(dst, ',')
		}
		inner := s.Items
		if kind == '{' {
			name, err := d.ReadToken()
			if err != nil {
				return dst, err
			}
			var known bool
			if inner, known = s.Properties[name.String()]; !known {
				inner = s.Values
			}
			if dst, err = jsontext.AppendQuote(dst, name.String()); err != nil {
				return dst, err
			}
			dst = append(dst, ':')
		}
		if dst, err = appendHidden(dst, d, inner); err != nil {
			return dst, err
		}
	}
	end, err := d.ReadToken()
	return append(dst, end.String()...), err
}

// fits reports whether a value of a kind has the type name. Only null fits a schema without a type, since any other
// value can have secrets in it.
func fits(kind jsontext.Kind, name string) bool {
	switch kind {
	case '{':
		return name == "object"
	case '[':
		return name == "array"
	case '"':
		return name == "string"
	case '0':
		return name == "integer" || name == "number"
	case 't', 'f':
		return name == "boolean"
	case 'n':
		return true
	}
	return false
}

// A schemas value caches which commands have secrets in their arguments.
type schemas struct {
	known sync.Map // *mgr.Command to bool
	size  atomic.Int32
}

// maxSchemas is the size of the cache. A daemon that registers commands again adds a new key each time.
const maxSchemas = 4096

func (s *schemas) secret(cmd *mgr.Command) bool {
	if cmd.Args == nil {
		return false
	}
	if known, ok := s.known.Load(cmd); ok {
		return known.(bool)
	}
	has := hasSecret(cmd.Args, 0)
	if s.size.Add(1) > maxSchemas {
		s.known.Clear()
		s.size.Store(1)
	}
	s.known.Store(cmd, has)
	return has
}

// maxDepth is the depth to which a schema is searched. A deeper one is treated as secret.
const maxDepth = 64

func hasSecret(s *schema.Schema, depth int) bool {
	if s == nil {
		return false
	}
	if s.Secret || depth > maxDepth {
		return true
	}
	for _, member := range s.Properties {
		if hasSecret(member, depth+1) {
			return true
		}
	}
	return hasSecret(s.Items, depth+1) || hasSecret(s.Values, depth+1)
}
