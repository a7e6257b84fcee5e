package access_test

import (
	"testing"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

func TestIdle(t *testing.T) {
	p := policy(t, access.Options{Roles: []access.Role{
		{
			Name: "dns", Allow: []string{"read", "zone-*", "zone-ad"}, Deny: []string{"admin", "zone-del*"},
			Arguments: []access.ArgumentRule{{Commands: []string{"zone-add", "zone-rm"}, Pointer: "/zone", Values: []any{"a"}}},
		},
		{Name: "all", Allow: []string{"*"}},
	}})
	require.Equal(t, []string{
		`the role "dns" allows "zone-ad", and no command is called so`,
		`the role "dns" denies "zone-del*", and no command is called so`,
		`the role "dns" has a rule on the arguments of "zone-rm", and no command is called so`,
	}, p.Idle([]mgr.Command{{Name: "zone-add"}, {Name: "look"}}))
	require.Empty(t, policy(t, access.Options{}).Idle(nil))
}
