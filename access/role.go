package access

import (
	"fmt"
	"strings"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/mgr"
)

// A level is what a role allows: that, and what is less. The zero Level is nothing.
func levelOf(role string) mgr.Level {
	switch role {
	case "monitor":
		return mgr.Read
	case "operator":
		return mgr.Write
	case "admin":
		return mgr.Admin
	}
	return 0
}

func checkRole(role string) error {
	if levelOf(role) == 0 {
		return fmt.Errorf("there is no role %q; the roles are %s", role, strings.Join(secrets.Roles(), ", "))
	}
	return nil
}
