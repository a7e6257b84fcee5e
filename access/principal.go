package access

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rudderpost/rudderpost/mgr"
)

// A Principal gives a credential a role.
type Principal struct {
	// Subject is the credential's, exactly: "uid:1000", "cert:ops.example", "cert-sha256:9f86d0…",
	// "user:ann", "token:ci", "anonymous:tcp", "self".
	Subject string

	// Role is "monitor" (read), "operator" (read and write) or "admin".
	Role string

	// Max is a ceiling, whatever the role says. 0: there is none.
	Max mgr.Level
}

// level returns what the principal may do.
func (p Principal) level() mgr.Level {
	if p.Max != 0 {
		return min(p.Max, levelOf(p.Role))
	}
	return levelOf(p.Role)
}

func (p Principal) check(others []string) error {
	if err := checkSubject(p.Subject, others); err != nil {
		return err
	}
	if p.Max > mgr.Admin {
		return fmt.Errorf("there is no level of access %d; the levels are read, write, admin", p.Max)
	}
	return checkRole(p.Role)
}

// The forms of subjects. Whatever is not one of these would be compared with, and never match.
var kinds = []struct {
	name, form string
	is         func(string) bool
}{
	{"uid", "the number of a user, such as uid:1000", isUID},
	{"cert", "the name or URI in a certificate, such as cert:ops.example", isWord},
	{"cert-sha256", "64 hexadecimal digits in lower case", isSHA256},
	{"user", "the name of a user, such as user:ann", isWord},
	{"token", "the id of a token, such as token:ci", isWord},
	{"anonymous", "a kind of transport, such as anonymous:tcp", isWord},
}

const self = "self" // the daemon itself: it has no value

func checkSubject(subject string, others []string) error {
	if subject == self {
		return nil
	}
	name, value, colon := strings.Cut(subject, ":")
	if colon && slices.Contains(others, name) && isWord(value) {
		return nil
	}
	names := make([]string, 0, len(kinds)+1)
	for _, kind := range kinds {
		if colon && kind.name == name {
			if kind.is(value) {
				return nil
			}
			return fmt.Errorf("behind %q belongs %s", name+":", kind.form)
		}
		names = append(names, kind.name+":")
	}
	return fmt.Errorf("there is no such kind of subject; there are %s, %s", strings.Join(names, ", "), self)
}

// isUID reports whether s is a user's number as it is written in a subject: in one way only.
func isUID(s string) bool {
	n, err := strconv.ParseUint(s, 10, 32)
	return err == nil && n != 1<<32-1 && strconv.FormatUint(n, 10) == s // the last one stands for "none"
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// isWord reports whether s is visible ASCII without blanks, as all that the transports prove is.
func isWord(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}
