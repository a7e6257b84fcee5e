package std

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// appendKea writes JSON byte for byte as Kea does (contract §2.5): spaces, keys in byte order, six
// digits, every byte from 0x7f on as an escape. Only hashes need this form.
func appendKea(dst []byte, v jsontext.Value) ([]byte, error) {
	switch v.Kind() {
	case '{':
		return appendKeaMap(dst, v)
	case '[':
		return appendKeaList(dst, v)
	case '"':
		var s string
		err := json.Unmarshal(v, &s)
		return appendKeaString(dst, s), err
	case '0':
		return appendKeaNumber(dst, string(v))
	}
	return append(dst, v...), nil // true, false, null
}

func appendKeaMap(dst []byte, v jsontext.Value) ([]byte, error) {
	var members map[string]jsontext.Value
	err := json.Unmarshal(v, &members)
	dst = append(dst, "{ "...)
	for i, key := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, '"')
		dst = append(dst, key...)
		dst = append(dst, `": `...)
		if dst, err = appendKea(dst, members[key]); err != nil {
			return dst, err
		}
	}
	return append(dst, " }"...), err
}

func appendKeaList(dst []byte, v jsontext.Value) ([]byte, error) {
	var items []jsontext.Value
	err := json.Unmarshal(v, &items)
	dst = append(dst, "[ "...)
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if dst, err = appendKea(dst, item); err != nil {
			return dst, err
		}
	}
	return append(dst, " ]"...), err
}

// appendKeaNumber writes an integer of any length unchanged, and a real as C++ streams do, with .0
// if that would look like an integer.
func appendKeaNumber(dst []byte, number string) ([]byte, error) {
	if !strings.ContainsAny(number, ".eE") {
		return append(dst, number...), nil
	}
	f, err := strconv.ParseFloat(number, 64)
	text := strconv.FormatFloat(f, 'g', 6, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return append(dst, text...), err
}

func appendKeaString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c == '\f':
			dst = append(dst, `\f`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < 0x20 || c >= 0x7f:
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
