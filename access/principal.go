package access

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rudderpost/rudderpost/internal/userns"
)

// A Principal gives a credential a role.
type Principal struct {
	// Subject is the credential's, exactly: "uid:1000", "gid:27", "cert:ops.example",
	// "cert-sha256:9f86d0…", "user:ann", "token:ci", "anonymous:monitor"; "socket-group", which is
	// whoever is in the group of the UNIX socket that it came through; "self".
	Subject string

	// Role is the name of one.
	Role string
}

// The forms of subjects. Whatever is not one of these would be compared with, and never match.
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
	{"anonymous", "what a listener calls those who prove nothing, such as anonymous:monitor", isWord},
}

// The subjects that have no value.
const (
	self        = "self"         // the daemon itself
	socketGroup = "socket-group" // whoever is in the group of the socket
)

// nobody is the number of each user, and each group, that has none in the user namespace of the daemon.
var nobody = strconv.Itoa(userns.Nobody)

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
			switch {
			case !kind.is(value):
				return fmt.Errorf("behind %q belongs %s", name+":", kind.form)
			case subject == "uid:"+nobody || subject == "gid:"+nobody:
				return errors.New(nobody + " is not one: it is the number of all that have none in the daemon's user namespace")
			}
			return nil
		}
		names = append(names, kind.name+":")
	}
	names = append(names, socketGroup, self)
	return fmt.Errorf("there is no such kind of subject; there are %s", strings.Join(names, ", "))
}

// isID reports whether s is the number of a user or a group as it is written in a subject: in one way
// only.
func isID(s string) bool {
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
