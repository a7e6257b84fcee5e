package record

import (
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxText is the longest string in an Entry, in bytes. A longer one is cut, and ends with "…".
const MaxText = 256

const (
	cut       = "…"
	hexDigits = "0123456789abcdef"
)

// appendString appends a text that anybody may have chosen as a JSON string.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if len(s) <= MaxText && plain(s) {
		dst = append(dst, s...)
		return append(dst, '"')
	}
	s, shortened := shorten(s)
	for _, r := range s { // what is no UTF-8 comes as U+FFFD
		switch r {
		case '"', '\\':
			dst = append(dst, '\\', byte(r))
		default:
			dst = appendRune(dst, r)
		}
	}
	if shortened {
		dst = append(dst, cut...)
	}
	return append(dst, '"')
}

// plain reports whether a text can stand in quotes as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// shorten cuts s to what has MaxText bytes when it is read again, with the mark of a cut.
func shorten(s string) (string, bool) {
	size, fits := 0, 0
	for i, r := range s {
		if size <= MaxText-len(cut) {
			fits = i
		}
		if size += utf8.RuneLen(r); size > MaxText {
			return s[:fits], true
		}
	}
	return s, false
}

// appendRune appends a character, escaped where it is not printable: controls, and what turns the
// direction of a text.
func appendRune(dst []byte, r rune) []byte {
	switch {
	case unicode.IsPrint(r):
		return utf8.AppendRune(dst, r)
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return appendUnit(appendUnit(dst, high), low)
	}
	return appendUnit(dst, r)
}

func appendUnit(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// AppendCompact appends JSON without the white space between its tokens, and with what is not printable
// in its strings escaped. It changes no value. The text must be well-formed.
func AppendCompact(dst, text []byte) []byte {
	inside := false
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(text[i:])
			dst = appendRune(dst, r)
			i += n
			continue
		case c == '"':
			inside = !inside
		case inside && c == '\\' && i+1 < len(text) && text[i+1] < utf8.RuneSelf:
			dst = append(dst, c)
			i++
			c = text[i]
		}
		switch {
		case inside && (c < ' ' || c == 0x7f):
			dst = appendUnit(dst, rune(c))
		case c == ' ' && inside, c > ' ':
			dst = append(dst, c)
		}
		i++
	}
	return dst
}
