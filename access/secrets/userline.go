package secrets

import (
	"fmt"
	"regexp"
)

var userFormat = format[*userRecord]{"NAME ROLE HASH", parseUser}

// A userRecord is a line of a users-file.
type userRecord struct {
	user User
	role string
	hash string // in its one form
	cost hash
}

func newUserRecord(name, role string, h hash) *userRecord {
	r := &userRecord{role: role, hash: h.String(), cost: h}
	r.user = User{Name: name, Role: role, subject: "user:" + name, record: r}
	return r
}

func (r *userRecord) key() string  { return r.user.Name }
func (r *userRecord) line() string { return r.user.Name + " " + r.role + " " + r.hash }

func parseUser(fields []string) (*userRecord, error) {
	name, role := fields[0], fields[1]
	if err := checkUserName(name); err != nil {
		return nil, err
	}
	if err := CheckRole(role); err != nil {
		return nil, err
	}
	h, err := parseHash(fields[2])
	if err != nil {
		return nil, fmt.Errorf("the hash of %q: %w", name, err)
	}
	return newUserRecord(name, role, h), nil
}

var userName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

func checkUserName(name string) error {
	if userName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q is no name for a user: up to 64 letters and digits of ASCII, and behind the first one . _ @ - too", shorten(name))
}
