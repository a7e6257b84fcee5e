package secrets

import (
	"fmt"
	"regexp"
	"slices"
)

// Roles returns the names of the roles that every daemon has, the weakest first. A daemon may have more; see
// access.Policy.Roles. The caller owns the slice.
func Roles() []string { return slices.Clone(roles) }

var roles = []string{"monitor", "operator", "admin"}

var roleName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// CheckRole returns an error if a role cannot have this name. It does not check whether the role exists.
func CheckRole(role string) error {
	if roleName.MatchString(role) {
		return nil
	}
	return fmt.Errorf("%q is no name for a role: up to 64 lower-case letters, digits and -, beginning with a letter; monitor, operator and admin always exist", shorten(role))
}

// shorten truncates a text for an error message.
func shorten(s string) string {
	const maxShown = 80 // bytes
	if len(s) <= maxShown {
		return s
	}
	return s[:maxShown] + "…"
}
