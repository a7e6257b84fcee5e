package secrets

import (
	"fmt"
	"slices"
	"strings"
)

// Roles returns the names of the roles that a user or a token can have, the weakest first.
func Roles() []string { return slices.Clone(roles) }

var roles = []string{"monitor", "operator", "admin"}

func checkRole(role string) error {
	if slices.Contains(roles, role) {
		return nil
	}
	return fmt.Errorf("there is no role %q; the roles are %s", shorten(role), strings.Join(roles, ", "))
}

// shorten keeps what a person mistyped from filling their screen.
func shorten(s string) string {
	const enough = 80
	if len(s) <= enough {
		return s
	}
	return s[:enough] + "…"
}
