package wire

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// An ID identifies a request and every reply to it: a string of at most 128 bytes, or an integer within
// ±2⁵³, which every JSON reader keeps exactly. IDs are compared with ==. The zero ID is none.
type ID struct {
	kind idKind
	n    int64
	s    string
}

type idKind uint8

const (
	noID idKind = iota
	intID
	stringID
)

const (
	maxIDLength  = 128
	maxIDInteger = 1 << 53
)

// IntID returns an integer ID. It is the zero ID when n is out of range.
func IntID(n int64) ID {
	if n < -maxIDInteger || n > maxIDInteger {
		return ID{}
	}
	return ID{kind: intID, n: n}
}

// StringID returns a string ID. It is the zero ID when s is too long or no UTF-8.
func StringID(s string) ID {
	if len(s) > maxIDLength || !utf8.ValidString(s) {
		return ID{}
	}
	return ID{kind: stringID, s: s}
}

// IsZero reports whether there is no ID.
func (id ID) IsZero() bool { return id.kind == noID }

// String returns the ID as JSON, or "" for none.
func (id ID) String() string { return string(id.append(nil)) }

func (id ID) append(dst []byte) []byte {
	switch id.kind {
	case intID:
		return strconv.AppendInt(dst, id.n, 10)
	case stringID:
		return appendString(dst, id.s)
	}
	return dst
}

// MarshalJSON returns the ID as JSON; the zero ID is null.
func (id ID) MarshalJSON() ([]byte, error) {
	if id.IsZero() {
		return []byte("null"), nil
	}
	return id.append(nil), nil
}

// UnmarshalJSON reads an ID; null is the zero ID.
func (id *ID) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*id = ID{}
		return nil
	}
	var ok bool
	if *id, ok = parseID(text); !ok {
		return errBadID
	}
	return nil
}

var errBadID = errors.New("an id is a string of at most 128 bytes or an integer within ±2^53")

// parseID reads an ID from a JSON value that is known to be well-formed.
func parseID(v Value) (ID, bool) {
	switch v.kind() {
	case kindString:
		id := StringID(unquote(v))
		return id, !id.IsZero()
	case kindInteger:
		n, err := strconv.ParseInt(string(v), 10, 64)
		id := IntID(n)
		return id, err == nil && !id.IsZero()
	}
	return ID{}, false
}
