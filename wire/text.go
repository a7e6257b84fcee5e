package wire

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// escape returns the length of the escape sequence at the start of b, or Kea's text for its defect. A surrogate
// must stand in a pair.
func escape(b []byte) (n int, wrong string) {
	if len(b) < 2 {
		return 0, "Unterminated string"
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, ""
	case 'u':
		r := hex4(b[2:])
		switch {
		case r < 0:
			return 0, "Not hexadecimal in unicode escape"
		case !utf16.IsSurrogate(r):
			return 6, ""
		case len(b) >= 12 && b[6] == '\\' && b[7] == 'u' && utf16.DecodeRune(r, hex4(b[8:])) != utf8.RuneError:
			return 12, ""
		}
		return 0, "half a surrogate pair in unicode escape"
	}
	return 0, "Bad escape"
}

// hex4 reads four hexadecimal digits, or returns -1.
func hex4(b []byte) (r rune) {
	if len(b) < 4 {
		return -1
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unquote returns the text of a JSON string that is known to be well-formed.
func unquote(v Value) string {
	inside := v[1 : len(v)-1]
	for _, c := range inside {
		if c == '\\' {
			return unescape(inside)
		}
	}
	return string(inside)
}

// unescape resolves the escapes of a well-formed string's inside.
func unescape(b []byte) string { return string(appendUnescaped(make([]byte, 0, len(b)), b)) }

// appendUnescaped appends a well-formed string's inside with its escapes resolved.
func appendUnescaped(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		if b[i] != '\\' {
			dst = append(dst, b[i])
			i++
			continue
		}
		n, _ := escape(b[i:])
		dst = utf8.AppendRune(dst, unescaped(b[i:i+n]))
		i += n
	}
	return dst
}

// unescaped returns the character of a well-formed escape sequence.
func unescaped(b []byte) rune {
	switch b[1] {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'u':
		r := hex4(b[2:])
		if len(b) == 12 {
			r = utf16.DecodeRune(r, hex4(b[8:]))
		}
		return r
	}
	return rune(b[1])
}

const hexDigits = "0123456789abcdef"

// appendString appends s as JSON in raw UTF-8. Each byte that is no UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[done:i]...)
				dst = append(dst, "\ufffd"...)
				done = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[done:i]...)
		dst = appendEscaped(dst, c)
		i++
		done = i
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}

// appendEscaped appends a character below U+0020, a quote or a backslash.
func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// maxEcho is the length, in bytes, to which an error text shortens a name that a client sent.
const maxEcho = 128

// Shorten cuts s to at most 128 bytes, at the start of a character, and marks the cut with "…". Error texts use it for
// names that a client sent.
func Shorten(s string) string {
	if len(s) <= maxEcho {
		return s
	}
	n := maxEcho
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// pointer is the JSON pointer (RFC 6901) of a member of the outermost map.
func pointer(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
