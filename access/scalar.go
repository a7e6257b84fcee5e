package access

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"strconv"
)

// A scalar is a value that arguments are compared with: what it was given as says of which kind.
type scalar struct {
	kind scalarKind
	text string
	yes  bool
	i    int64
	f    float64
}

type scalarKind uint8

const (
	isText scalarKind = iota
	isBool
	isInteger
	isReal
)

func scalarOf(value any) (scalar, error) {
	switch v := value.(type) {
	case string:
		return scalar{kind: isText, text: v}, nil
	case bool:
		return scalar{kind: isBool, yes: v}, nil
	case int:
		return scalar{kind: isInteger, i: int64(v)}, nil
	case int64:
		return scalar{kind: isInteger, i: v}, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return scalar{}, fmt.Errorf("%v is no number in JSON", v)
		}
		return scalar{kind: isReal, f: v}, nil
	}
	return scalar{}, fmt.Errorf("%v (%T) is no text, number or boolean", value, value)
}

// is reports whether a JSON value, without white space around it, is this one. A nil one is nothing.
func (s scalar) is(v []byte) bool {
	if len(v) == 0 {
		return false
	}
	switch c := v[0]; {
	case c == '"':
		return s.kind == isText && isString(v, s.text)
	case c == 't' || c == 'f':
		return s.kind == isBool && (c == 't') == s.yes
	case c == '-' || c >= '0' && c <= '9':
		return s.kind == isInteger && isInt(v, s.i) || s.kind == isReal && isFloat(v, s.f)
	}
	return false
}

// A JSON number without a fraction and an exponent is an integer, of any size; every other one is the
// float64 that is nearest, as it is for whoever decodes it.

func isInt(v []byte, i int64) bool {
	if isWhole(v) {
		n, err := strconv.ParseInt(string(v), 10, 64)
		return err == nil && n == i
	}
	x, err := strconv.ParseFloat(string(v), 64)
	return err == nil && isExactly(i, x)
}

func isFloat(v []byte, f float64) bool {
	if !isWhole(v) {
		x, err := strconv.ParseFloat(string(v), 64)
		return err == nil && x == f
	}
	if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return isExactly(n, f)
	}
	const most = 1 + 309 // the sign, and the digits of the largest float64; more would only cost time
	n, ok := new(big.Int), false
	if len(v) <= most {
		n, ok = n.SetString(string(v), 10)
	}
	return ok && new(big.Float).SetInt(n).Cmp(big.NewFloat(f)) == 0
}

func isWhole(v []byte) bool { return !bytes.ContainsAny(v, ".eE") }

// isExactly compares without rounding either.
func isExactly(i int64, f float64) bool {
	return f >= -1<<63 && f < 1<<63 && f == math.Trunc(f) && int64(f) == i
}
