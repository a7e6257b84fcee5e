package access

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// find returns the value at a path, without white space around it, or nil. In a list, a step is an index in the form of
// RFC 6901: digits without a leading 0.
//
// v must be well-formed JSON without duplicate members. find skips all other values, decodes nothing and allocates
// nothing. For JSON that is not well-formed the result is nil or a wrong value; there is never a panic.
func find(v []byte, path []string) []byte {
	v = skipSpace(v)
	for _, step := range path {
		switch {
		case len(v) == 0:
			return nil
		case v[0] == '{':
			v = member(v, step)
		case v[0] == '[':
			v = element(v, step)
		default:
			return nil
		}
	}
	return v[:len(v)-len(skipValue(v))]
}

// member returns the rest of v from the value of a member on, or nil. v starts with an object.
func member(v []byte, name string) []byte {
	v = skipSpace(v[1:])
	for len(v) > 0 && v[0] == '"' {
		rest := skipString(v)
		found := isString(v[:len(v)-len(rest)], name)
		v = skipSpace(skipByte(skipSpace(rest), ':'))
		if found {
			return v
		}
		v = skipSpace(skipByte(skipSpace(skipValue(v)), ','))
	}
	return nil
}

// element returns the rest of v from an element on, or nil. v starts with a list.
func element(v []byte, step string) []byte {
	index, err := strconv.Atoi(step)
	if err != nil || index < 0 || step != "0" && (step[0] < '1' || step[0] > '9') {
		return nil
	}
	v = skipSpace(v[1:])
	for ; len(v) > 0 && v[0] != ']'; index-- {
		if index == 0 {
			return v
		}
		v = skipSpace(skipByte(skipSpace(skipValue(v)), ','))
	}
	return nil
}

func skipSpace(v []byte) []byte {
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\n' || v[0] == '\r' || v[0] == '\t') {
		v = v[1:]
	}
	return v
}

// skipByte skips the byte c. Where v starts with another byte, it returns the empty end of v.
func skipByte(v []byte, c byte) []byte {
	if len(v) > 0 && v[0] == c {
		return v[1:]
	}
	return v[len(v):]
}

// skipValue skips the value at the start of v.
func skipValue(v []byte) []byte {
	for depth := 0; len(v) > 0; {
		switch v[0] {
		case '"':
			v = skipString(v)
		case '{', '[':
			depth++
			v = v[1:]
			continue
		case '}', ']':
			depth--
			v = v[1:]
		case ' ', '\n', '\r', '\t', ',', ':':
			if depth == 0 {
				return v
			}
			v = v[1:]
			continue
		default:
			v = skipWord(v)
		}
		if depth <= 0 {
			return v
		}
	}
	return v
}

// skipWord skips a number, true, false or null.
func skipWord(v []byte) []byte {
	for i, c := range v {
		switch c {
		case ' ', '\n', '\r', '\t', ',', ':', '}', ']', '{', '[', '"':
			return v[i:]
		}
	}
	return v[len(v):]
}

// skipString skips the string at the start of v.
func skipString(v []byte) []byte {
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '"':
			return v[i+1:]
		case '\\':
			i++
		}
	}
	return v[len(v):]
}

// isString reports whether the JSON string v, with its quotes, decodes to text.
func isString(v []byte, text string) bool {
	if len(v) < 2 || v[len(v)-1] != '"' {
		return false
	}
	v = v[1 : len(v)-1]
	for len(v) > 0 {
		prefix := bytes.IndexByte(v, '\\')
		if prefix < 0 {
			return string(v) == text
		}
		if len(text) < prefix || string(v[:prefix]) != text[:prefix] {
			return false
		}
		r, n := unquote(v[prefix:])
		var decoded [utf8.UTFMax]byte
		width := utf8.EncodeRune(decoded[:], r)
		if n == 0 || len(text) < prefix+width || text[prefix:prefix+width] != string(decoded[:width]) {
			return false
		}
		v, text = v[prefix+n:], text[prefix+width:]
	}
	return text == ""
}

// unquote decodes the escape at the start of v, and returns its length in bytes. n is 0 if it is not valid.
func unquote(v []byte) (r rune, n int) {
	if len(v) < 2 {
		return 0, 0
	}
	switch c := v[1]; c {
	case '"', '\\', '/':
		return rune(c), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r = hex4(v[2:])
		switch {
		case r < 0:
			return 0, 0
		case !utf16.IsSurrogate(r):
			return r, 6
		case len(v) >= 12 && v[6] == '\\' && v[7] == 'u':
			if r = utf16.DecodeRune(r, hex4(v[8:])); r != utf8.RuneError {
				return r, 12
			}
		}
	}
	return 0, 0
}

// hex4 reads four hexadecimal digits, or returns -1.
func hex4(v []byte) (r rune) {
	if len(v) < 4 {
		return -1
	}
	for _, c := range v[:4] {
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 || c < '0' {
			return -1
		}
		r = r<<4 | rune(digit)
	}
	return r
}
