package access

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Principal gives a subject a role.
type Principal struct {
	// Subject is the subject of a credential, byte by byte: "uid:1000", "gid:27", "cert:ops.example",
	// "cert-sha256:9f86d0…", "user:ann", "token:ci" or "anonymous:monitor". "socket-group" means every member of the
	// group of the UNIX socket that the peer has connected to. "self" means the daemon itself.
	Subject string

	// Role is the name of a role of the same Options, or of a built-in one.
	Role string
}

// The kinds of subjects, and the form of their values. Other subjects are refused, because no credential has them.
var kinds = []struct {
	name, form string
	is         func(string) bool
}{
	{"uid", "the number of a user, such as uid:1000", isID},
	{"gid", "the number of a group, such as gid:27", isID},
	{"cert", "the name or URI in a certificate, such as cert:ops.example", isWord},
	{"cert-sha256", "64 hexadecimal digits in lower case", isSHA256},
	{"user", "the name of a user, such as user:ann", isWord},
	{"token", "the id of a token, such as token:ci", isWord},
	{"anonymous", "the name that a listener gives its anonymous peers, such as anonymous:monitor", isWord},
}

// The subjects that have no value.
const (
	self        = "self"         // the daemon itself
	socketGroup = "socket-group" // a member of the socket's group
)

// checkSubject returns an error for a subject that no credential has. others are the kinds of Options.Kinds.
func checkSubject(subject string, others []string) error {
	if subject == self || subject == socketGroup {
		return nil
	}
	name, value, colon := strings.Cut(subject, ":")
	if colon && slices.Contains(others, name) && isWord(value) {
		return nil
	}
	names := make([]string, 0, len(kinds)+2)
	for _, kind := range kinds {
		if colon && kind.name == name {
			if !kind.is(value) {
				return fmt.Errorf("after %q there must be %s", name+":", kind.form)
			}
			return nil
		}
		names = append(names, kind.name+":")
	}
	names = append(names, socketGroup, self)
	return fmt.Errorf("there is no such kind of subject; the kinds are %s", strings.Join(names, ", "))
}

// isID reports whether s is the number of a user or a group in its only spelling: decimal, without a sign or leading
// zeros. 2^32-1 is refused, since it means "none".
func isID(s string) bool {
	n, err := strconv.ParseUint(s, 10, 32)
	return err == nil && n != 1<<32-1 && strconv.FormatUint(n, 10) == s
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// isWord reports whether s is visible ASCII without blanks, as all subjects are that the transports prove.
func isWord(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}
