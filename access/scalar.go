package access

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"strconv"
)

// A scalar is a value of an ArgumentRule. kind says which field is set.
type scalar struct {
	kind    scalarKind
	text    string
	boolean bool
	i       int64
	f       float64
}

type scalarKind uint8

const (
	stringKind scalarKind = iota
	boolKind
	intKind
	floatKind
)

func scalarOf(value any) (scalar, error) {
	switch v := value.(type) {
	case string:
		return scalar{kind: stringKind, text: v}, nil
	case bool:
		return scalar{kind: boolKind, boolean: v}, nil
	case int:
		return scalar{kind: intKind, i: int64(v)}, nil
	case int64:
		return scalar{kind: intKind, i: v}, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return scalar{}, fmt.Errorf("%v is no number in JSON", v)
		}
		return scalar{kind: floatKind, f: v}, nil
	}
	return scalar{}, fmt.Errorf("%v (%T) is no text, number or boolean", value, value)
}

// equals reports whether a JSON value has this value. v has no white space around it; nil is no value.
func (s scalar) equals(v []byte) bool {
	if len(v) == 0 {
		return false
	}
	switch c := v[0]; {
	case c == '"':
		return s.kind == stringKind && isString(v, s.text)
	case c == 't' || c == 'f':
		return s.kind == boolKind && (c == 't') == s.boolean
	case c == '-' || c >= '0' && c <= '9':
		return s.kind == intKind && equalsInt(v, s.i) || s.kind == floatKind && equalsFloat(v, s.f)
	}
	return false
}

// equalsInt reports whether the JSON number v equals i. A JSON number without a fraction and an exponent is an
// integer of any size. Every other one is the nearest float64, as in a handler that decodes it.
func equalsInt(v []byte, i int64) bool {
	if isInteger(v) {
		n, err := strconv.ParseInt(string(v), 10, 64)
		return err == nil && n == i
	}
	x, err := strconv.ParseFloat(string(v), 64)
	return err == nil && equalNumbers(i, x)
}

// equalsFloat reports whether the JSON number v equals f, without rounding an integer.
func equalsFloat(v []byte, f float64) bool {
	if !isInteger(v) {
		x, err := strconv.ParseFloat(string(v), 64)
		return err == nil && x == f
	}
	if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return equalNumbers(n, f)
	}
	const maxDigits = 1 + 309 // the sign, and the digits of the largest float64; a longer number is larger, and slow to parse
	n, ok := new(big.Int), false
	if len(v) <= maxDigits {
		n, ok = n.SetString(string(v), 10)
	}
	return ok && new(big.Float).SetInt(n).Cmp(big.NewFloat(f)) == 0
}

func isInteger(v []byte) bool { return !bytes.ContainsAny(v, ".eE") }

// equalNumbers compares an integer and a float, also without rounding.
func equalNumbers(i int64, f float64) bool {
	return f >= -1<<63 && f < 1<<63 && f == math.Trunc(f) && int64(f) == i
}
