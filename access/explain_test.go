package access_test

import (
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

func TestExplain(t *testing.T) {
	d := newSecretFiles(t)
	require.NoError(t, d.Users.Add("ann", "dns", "correct horse"))
	require.NoError(t, d.Users.Add("bob", "gone", "correct horse"))
	_, err := d.Tokens.Mint("ci", "monitor", time.Time{})
	require.NoError(t, err)
	p := policy(t, access.Options{
		Users: d.Users, Tokens: d.Tokens,
		Roles: []access.Role{{
			Name: "dns", Allow: []string{"zone-*"}, Deny: []string{"zone-flush"},
			Arguments: []access.ArgumentRule{{Commands: []string{"zone-add"}, Pointer: "/zone", Values: []any{"example"}}},
		}},
		Principals: []access.Principal{{Subject: "cert:ops.example", Role: "dns"}, {Subject: "uid:7", Role: "monitor"}},
	})
	for _, test := range []struct {
		subjects  []string
		command   string
		arguments string
		want      access.Decision
	}{
		{[]string{"cert:ops.example"}, "zone-del", ``, access.Decision{Allowed: true, Role: "dns", Rule: `principal "cert:ops.example" has the role "dns", which allows "zone-*"`}},
		{[]string{"cert:ops.example"}, "zone-add", `{"zone":"example"}`, access.Decision{Allowed: true, Role: "dns", Rule: `principal "cert:ops.example" has the role "dns", which allows "zone-*", with such arguments`}},
		{[]string{"cert:ops.example"}, "zone-add", `{"zone":"x"}`, access.Decision{Role: "dns", Rule: `principal "cert:ops.example" has the role "dns", which allows "zone-*", but not with the value at "/zone" in the arguments`}},
		{[]string{"cert:ops.example"}, "zone-flush", ``, access.Decision{Role: "dns", Rule: `principal "cert:ops.example" has the role "dns", which denies "zone-flush"`}},
		{[]string{"cert:ops.example"}, "shutdown", ``, access.Decision{Rule: `principal "cert:ops.example" has the role "dns", which does not allow it`}},
		{[]string{"cert:ops.example", "uid:7", "uid:8"}, "shutdown", ``, access.Decision{Rule: `principal "cert:ops.example" has the role "dns", principal "uid:7" has the role "monitor"; none of them allows it`}},
		{[]string{"uid:0", "cert:ops.example"}, "zone-flush", ``, access.Decision{Role: "dns", Rule: `principal "cert:ops.example" has the role "dns", which denies "zone-flush"`}},
		{[]string{"uid:0"}, "zone-flush", ``, access.Decision{Allowed: true, Role: "admin", Rule: `by default "uid:0" has the role "admin", which allows "write"`}},
		{[]string{"socket-group"}, "no-such", ``, access.Decision{Allowed: true, Role: "monitor", Rule: `by default "socket-group" has the role "monitor", which allows "read"`}},
		{[]string{"uid:8"}, "zone-add", ``, access.Decision{Rule: `nothing gives uid:8 a role`}},
		{nil, "zone-add", ``, access.Decision{Rule: `nothing gives unknown a role`}},
	} {
		call := &mgr.Call{Name: test.command, Peer: transport.Peer{Creds: subjects(test.subjects...)}}
		if test.command != "no-such" {
			call.Command = &mgr.Command{Name: test.command, Level: mgr.Write}
		}
		if test.arguments != "" {
			call.Arguments = wire.Value(test.arguments)
		}
		require.Equal(t, test.want, p.Explain(call))
		require.Equal(t, test.want.Allowed, p.Authorize(call) == nil)
	}
	require.Equal(t, []string{`the user "bob" has the role "gone", which does not exist; the roles are monitor, operator, admin, dns`}, p.UndefinedRoles())
	require.Equal(t, []string{"monitor", "operator", "admin", "dns"}, p.Roles())
	ann := d.proves(transport.Claim{User: "ann", Password: "correct horse"})
	require.Equal(t, access.Decision{Allowed: true, Role: "dns", Rule: `"user:ann" has the role "dns" in its file, which allows "zone-*"`},
		p.Explain(&mgr.Call{Name: "zone-del", Command: &mgr.Command{Name: "zone-del", Level: mgr.Write}, Peer: transport.Peer{Creds: []transport.Credential{ann}}}))
	bob := d.proves(transport.Claim{User: "bob", Password: "correct horse"})
	require.Equal(t, nothing, allowed(p, bob))
}
