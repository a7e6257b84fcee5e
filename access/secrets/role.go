package secrets

import (
	"fmt"
	"regexp"
	"slices"
)

// Roles returns the names of the roles that every daemon has, the weakest first. There may be others:
// what is in force where a role is used, its policy knows.
func Roles() []string { return slices.Clone(roles) }

var roles = []string{"monitor", "operator", "admin"}

var roleName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// CheckRole says why a name cannot be that of a role, whether there is such a role or not.
func CheckRole(role string) error {
	if roleName.MatchString(role) {
		return nil
	}
	return fmt.Errorf("%q is no name for a role: up to 64 lower-case letters and digits, and - behind the first, which is a letter; monitor, operator and admin are always there", shorten(role))
}

// shorten keeps what a person mistyped from filling their screen.
func shorten(s string) string {
	const enough = 80
	if len(s) <= enough {
		return s
	}
	return s[:enough] + "…"
}
