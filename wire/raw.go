package wire

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// allowInvalidUTF8 replaces bytes of a Go string that are no UTF-8 by U+FFFD: a reply with a bad file name
// is better than no reply.
var allowInvalidUTF8 = jsontext.AllowInvalidUTF8(true)

// Raw is a value that is already encoded: compact, valid, and readable by every client of Kea,
// because only ParseRaw and Encode make one. A reply can contain it without another check, any number of
// times. The zero Raw is null. It is one pointer long, so that a Reply holds it without an
// allocation. It is immutable, and may be used by any goroutine.
type Raw struct{ b *[]byte }

// ParseRaw checks text and returns it as a Raw.
func ParseRaw(text []byte) (Raw, error) {
	v := Value(text)
	if bad := (&parser{b: v}).whole(); bad != nil {
		return Raw{}, bad
	}
	b, err := appendCompact(make([]byte, 0, len(text)), text, forKea)
	if err != nil {
		return Raw{}, err
	}
	return Raw{&b}, nil
}

// Encode encodes v as a Raw.
func Encode(v any) (Raw, error) {
	b, err := appendArguments(nil, v)
	if err != nil {
		return Raw{}, err
	}
	return Raw{&b}, nil
}

// String returns the JSON text.
func (r Raw) String() string { return string(r.text()) }

// Len is the length of the JSON text in bytes.
func (r Raw) Len() int { return len(r.text()) }

// MarshalJSON implements json.Marshaler, so that a Raw may be part of a Go value.
func (r Raw) MarshalJSON() ([]byte, error) { return r.text(), nil }

var null = []byte("null")

func (r Raw) text() []byte {
	if r.b == nil {
		return null
	}
	return *r.b
}

// maxReplyDepth is how deep arguments may be nested: Kea's readers stop at 99 levels with members,
// and two are around the arguments, the reply and HTTP's list.
const maxReplyDepth = 97

// isDeeper reports whether well-formed JSON is nested more than most levels deep.
func isDeeper(text []byte, most int) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += stringLength(text[i:]) - 1
		case '{', '[':
			if depth++; depth > most {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// The values of strict: whether appendCompact refuses values that Kea's clients cannot read.
const (
	forKea   = true
	anything = false
)

// appendCompact appends well-formed JSON without white space and as Kea can read it: characters
// beyond ASCII as themselves, not as escapes. With strict, a value that Kea's clients cannot read at all is
// an error.
func appendCompact(dst, src []byte, strict bool) ([]byte, error) {
	if isReadable(src) {
		return append(dst, src...), nil
	}
	return reparse(dst, src, strict)
}

// reparse is appendCompact for text that isReadable does not accept.
func reparse(dst, src []byte, strict bool) ([]byte, error) {
	depth := 0
	for i := 0; i < len(src); {
		switch c := src[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			n := stringLength(src[i:])
			dst = appendReadable(dst, src[i:i+n])
			i += n
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			n := 1
			for i+n < len(src) && numberByte[src[i+n]] {
				n++
			}
			if strict {
				if err := checkNumber(src[i : i+n]); err != nil {
					return dst, err
				}
			}
			dst = append(dst, src[i:i+n]...)
			i += n
		case '{', '[':
			if depth++; strict && depth > maxReplyDepth {
				return dst, fmt.Errorf("nested more than %d levels deep, which Kea's clients cannot read", maxReplyDepth)
			}
			dst = append(dst, c)
			i++
		case '}', ']':
			depth--
			dst = append(dst, c)
			i++
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst, nil
}

// isReadable reports whether well-formed JSON is short and needs no reparse: it has no escapes, no
// white space outside strings, no exponents, no number of many digits, and few levels. An encoded struct takes
// 0.8 of the time. (BenchmarkAppendReply/struct)
func isReadable(src []byte) bool {
	const short = 4 << 10
	if len(src) > short {
		return false
	}
	levels, number, quoted := 0, 0, false
	for _, c := range src {
		switch k := readable[c]; {
		case quoted:
			quoted = c != '"'
			if k == escaped {
				return false
			}
		case k == blank, k == escaped:
			return false
		case k == level:
			levels++
		case k == digit:
			if number++; number > surely64Bits {
				return false
			}
		case number > 0 && c|0x20 == 'e':
			return false
		default:
			number = 0
			quoted = c == '"'
		}
	}
	return levels <= maxReplyDepth
}

const (
	level = 1 + iota
	digit
	blank
	escaped
)

// readable has the class of each byte for isReadable.
var readable = func() (class [256]uint8) {
	for c := range class {
		switch {
		case c == '{' || c == '[':
			class[c] = level
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.':
			class[c] = digit
		case c <= ' ':
			class[c] = blank
		case c == '\\':
			class[c] = escaped
		}
	}
	return class
}()

// stringLength returns the length of the string at the start of src, quotes included. Most strings have no escape; for
// those two calls of IndexByte are faster than a loop: a reply of one long string takes 55 µs and not 81
// (BenchmarkAppendReply/string).
func stringLength(src []byte) int {
	end := 1 + bytes.IndexByte(src[1:], '"')
	i := bytes.IndexByte(src[:end], '\\')
	if i < 0 {
		return end + 1
	}
	for ; ; i++ {
		for plainByte[src[i]] {
			i++
		}
		switch src[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
}

// appendReadable appends a string with its escapes resolved where they are beyond ASCII, so that Kea's
// agent, which takes \u00e9 for one byte of Latin-1, reads every character alike.
func appendReadable(dst, quoted []byte) []byte {
	done := 0
	for i := bytes.IndexByte(quoted, '\\'); i >= 0 && i < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		n, _ := escape(quoted[i:])
		if r := unescaped(quoted[i : i+n]); quoted[i+1] == 'u' && r >= utf8.RuneSelf {
			dst = append(dst, quoted[done:i]...)
			dst = utf8.AppendRune(dst, r)
			done = i + n
		}
		i += n - 1
	}
	return append(dst, quoted[done:]...)
}

// surely64Bits is the number of digits that always fit into 64 bits.
const surely64Bits = 18

// checkNumber refuses numbers that Kea's clients cannot read: integers beyond 64 bits, reals beyond a double.
func checkNumber(number []byte) error {
	if len(number) <= surely64Bits {
		if digits(number) == len(number) || !strings.ContainsAny(string(number), "eE") {
			return nil
		}
	}
	text := string(number)
	if strings.ContainsAny(text, ".eE") {
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return fmt.Errorf("the number %s is too large for Kea's clients", Shorten(text))
		}
		return nil
	}
	if _, err := strconv.ParseInt(text, 10, 64); err != nil {
		return fmt.Errorf("the integer %s has more than 64 bits, which Kea's clients cannot read", Shorten(text))
	}
	return nil
}
