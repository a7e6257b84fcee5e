package wire

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json"
)

// A Value is one JSON value as it was received: well-formed, no key twice, valid UTF-8, with the
// white space and escapes of its sender. A nil Value means that there was no value; null is
// four bytes. Its bytes must not be changed.
type Value []byte

// strictly is the option for decoding values into Go types. The defaults of the JSON package do the rest: no
// duplicate names, no invalid UTF-8, names compared exactly.
var strictly = json.RejectUnknownMembers(true)

// Decode decodes v into the variable that into points at. Keys that the type does not have are errors.
func (v Value) Decode(into any) error { return json.Unmarshal(v, into, strictly) }

// MarshalJSON returns the value, so that it may be part of a Go value; a nil Value is null.
func (v Value) MarshalJSON() ([]byte, error) {
	if v == nil {
		return []byte("null"), nil
	}
	return v, nil
}

// UnmarshalJSON keeps a copy of text.
func (v *Value) UnmarshalJSON(text []byte) error {
	*v = bytes.Clone(text)
	return nil
}

// Valid reports whether v is what the type Value promises.
func (v Value) Valid() bool {
	p := parser{b: v}
	return p.whole() == nil
}

type kind uint8

const (
	kindNone kind = iota
	kindMap
	kindList
	kindString
	kindBoolean
	kindNull
	kindInteger
	kindReal
)

var kindNames = [...]string{"nothing", "map", "list", "string", "boolean", "null", "integer", "real"}

// Kind returns Kea's name for the type of v: "map", "list", "string", "boolean", "null", "integer",
// "real"; "nothing" for an empty Value.
func (v Value) Kind() string { return kindNames[v.kind()] }

func (v Value) kind() kind {
	if len(v) == 0 {
		return kindNone
	}
	switch v[0] {
	case '{':
		return kindMap
	case '[':
		return kindList
	case '"':
		return kindString
	case 't', 'f':
		return kindBoolean
	case 'n':
		return kindNull
	}
	for _, c := range v {
		if c == '.' || c|0x20 == 'e' {
			return kindReal
		}
	}
	return kindInteger
}

// Has reports whether v is a map that has all the given members.
func (v Value) Has(names ...string) bool {
	if len(names) > maxMembers {
		return v.Has(names[:maxMembers]...) && v.Has(names[maxMembers:]...)
	}
	p := parser{b: v, names: names}
	if p.whole() != nil || v[p.outer] != '{' {
		return false
	}
	for _, name := range names {
		if p.members[slices.Index(names, name)] == nil { // a name given twice is found once
			return false
		}
	}
	return true
}
