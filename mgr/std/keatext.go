package std

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// appendKea writes plain JSON values byte for byte as Kea does (contract §2.5): spaces, keys in byte
// order, six digits, every byte from 0x7f on as an escape. Only hashes need that.
func appendKea(dst []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		dst = append(dst, "{ "...)
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, '"')
			dst = append(dst, key...)
			dst = append(dst, `": `...)
			dst = appendKea(dst, v[key])
		}
		return append(dst, " }"...)
	case []any:
		dst = append(dst, "[ "...)
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendKea(dst, item)
		}
		return append(dst, " ]"...)
	case string:
		return appendKeaString(dst, v)
	case float64:
		return appendKeaNumber(dst, v)
	case bool:
		return strconv.AppendBool(dst, v)
	}
	return append(dst, "null"...)
}

// appendKeaNumber writes an integer plainly and a real as C++ streams do.
func appendKeaNumber(dst []byte, f float64) []byte {
	if f == float64(int64(f)) {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	return strconv.AppendFloat(dst, f, 'g', 6, 64)
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
