package access

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rudderpost/rudderpost/wire"
)

// checkPattern returns an error for a name or pattern that cannot match any command.
func checkPattern(text string) error {
	lower := strings.ToLower(text)
	switch {
	case text == "":
		return errors.New("it is empty; write a level (read, write, admin), a command, or commands with *, such as zone-*")
	case text != lower && strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-*") == "":
		return fmt.Errorf("levels and commands are in lower case: %q", lower)
	case len(text) > wire.MaxName:
		return fmt.Errorf("it is too long: no command has more than %d bytes", wire.MaxName)
	}
	for _, r := range text {
		if r != '*' && (r >= 0x80 || !isNameByte(byte(r))) {
			return fmt.Errorf("the name of a command cannot contain %q: it has a-z, 0-9 and -; a * matches any run of them", r)
		}
	}
	switch {
	case strings.Contains(text, "**"):
		return errors.New("write one * instead of two")
	case !strings.Contains(text, "*") && !wire.ValidName(text):
		return errors.New("no command has such a name: a name consists of words of a-z and 0-9 with one - between them, and begins with a letter")
	}
	return nil
}

// matchesPattern reports whether a pattern matches a name, from its first byte to its last. A * matches any run of
// bytes, also an empty one; every other byte matches itself.
//
// When a byte does not match, only the latest * is tried again, with one byte more: the pattern before it has already
// matched as early as possible. So the function takes at most len(pattern) * len(name) steps.
func matchesPattern(pattern, name string) bool {
	p, n := 0, 0
	star, end := -1, 0 // the latest *, and the end of the bytes that it matches
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, end = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			end++
			p, n = star+1, end
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// isNameLike reports whether a name has the length and the characters of a command's name. Patterns match no other
// name, so that neither zone-* nor * matches "zone-../x".
func isNameLike(name string) bool {
	if name == "" || len(name) > wire.MaxName {
		return false
	}
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return false
		}
	}
	return true
}

func isNameByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' }
