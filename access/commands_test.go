package access_test

import (
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

type explanation struct {
	Allowed bool   `json:"allowed"`
	Rule    string `json:"rule"`
	Role    string `json:"role"`
	Access  string `json:"access"`
	Exists  bool   `json:"exists"`
}

func TestAccessExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, access.Options{
			Roles: []access.Role{{
				Name: "dns", Allow: []string{"zone-*"},
				Arguments: []access.ArgumentRule{{Commands: []string{"zone-add"}, Pointer: "/zone", Values: []any{"example"}}},
			}},
			Principals: []access.Principal{{Subject: "uid:7", Role: "dns"}, {Subject: "gid:27", Role: "operator"}},
		})
		m, ask := daemon(t, p, mgr.Func("zone-add", "", mgr.Write, nop, mgr.AnyArguments()))
		require.NoError(t, m.Register(access.Commands(p, m)...))
		const dns = `principal "uid:7" has the role "dns", `
		for _, test := range []struct {
			arguments string
			want      explanation
		}{
			{`{"principal":"uid:7","command":"zone-add","arguments":{"zone":"example"}}`, explanation{true, dns + `which allows "zone-*", with such arguments`, "dns", "write", true}},
			{`{"principal":["uid:7"],"command":"zone-add","arguments":{"zone":"x"}}`, explanation{false, dns + `which allows "zone-*", but not with the value at "/zone" in the arguments`, "dns", "write", true}},
			{`{"principal":"uid:7","command":"zone-add"}`, explanation{false, dns + `which allows "zone-*", but not with the value at "/zone" in the arguments`, "dns", "write", true}},
			{`{"principal":["uid:7","gid:27"],"command":"zone-add"}`, explanation{true, `principal "gid:27" has the role "operator", which allows "write"`, "operator", "write", true}},
			{`{"principal":["uid:8","socket-group"],"command":"whoami"}`, explanation{true, `by default "socket-group" has the role "monitor", which allows "read"`, "monitor", "read", true}},
			{`{"principal":"uid:8","command":"whoami"}`, explanation{false, `nothing gives uid:8 a role`, "", "read", true}},
			{`{"principal":[],"command":"whoami"}`, explanation{false, `nothing gives unknown a role`, "", "read", true}},
			{`{"principal":"self","command":"zone-no-such"}`, explanation{true, `by default "self" has the role "admin", which allows "read"`, "admin", "read", false}},
			{`{"principal":"uid:7","command":"Zone-add"}`, explanation{false, dns + `which does not allow it`, "", "read", false}},
			{`{"principal":"self","command":"zone-add","listener":"low"}`, explanation{false, `'zone-add' is not allowed through low: it needs write access, and this listener allows at most read`, "", "write", true}},
			{`{"principal":"self","command":"whoami","listener":"low"}`, explanation{true, `by default "self" has the role "admin", which allows "read"`, "admin", "read", true}},
		} {
			reply := ask("access-explain", test.arguments)
			require.Zero(t, reply.Code, reply.Text)
			var is explanation
			require.NoError(t, reply.Arguments.(wire.Value).Decode(&is))
			require.Equal(t, test.want, is, test.arguments)
		}
		for arguments, says := range map[string]string{
			`{"principal":"ann","command":"whoami"}`:                      `principal "ann": there is no such kind of subject`,
			`{"principal":null,"command":"whoami"}`:                       `principal`,
			`{"principal":7,"command":"whoami"}`:                          `a subject such as "uid:1000", or a list of subjects`,
			`{"principal":["uid:7",7],"command":"whoami"}`:                `a list of subjects`,
			`{"command":"whoami"}`:                                        `principal`,
			`{"principal":"uid:7"}`:                                       `command`,
			`{"principal":"self","command":"whoami","listener":"lo"}`:     `there is no listener "lo"; the listeners are low, pipe`,
			`{"principal":"self","command":"whoami","arguments-":"typo"}`: `arguments-`,
		} {
			reply := ask("access-explain", arguments)
			require.Equal(t, wire.CodeError, reply.Code, arguments)
			require.Contains(t, reply.Text, says, arguments)
		}
		require.NoError(t, p.Update(access.Options{Principals: []access.Principal{{Subject: "self", Role: "operator"}}}))
		require.Equal(t, wire.CodeForbidden, ask("access-explain", `{"principal":"self","command":"whoami"}`).Code)
	})
}

// access-explain decides about a subject as Authorize decides about the proven credential.
func TestAssumedCredentialsGetTheDecisionOfProvenOnes(t *testing.T) {
	d := newSecretFiles(t)
	require.NoError(t, d.Users.Add("ann", "operator", "correct horse"))
	require.NoError(t, d.Users.Add("bob", "gone", "correct horse"))
	require.NoError(t, d.Users.Add("cleo", "monitor", "correct horse"))
	secret, err := d.Tokens.Mint("ci", "monitor", time.Now().Add(time.Hour))
	require.NoError(t, err)
	p := policy(t, access.Options{Users: d.Users, Tokens: d.Tokens, Principals: []access.Principal{
		{Subject: "user:cleo", Role: "admin"}, {Subject: "user:dave", Role: "admin"}, {Subject: "cert:x", Role: "monitor"}, {Subject: "gid:27", Role: "operator"},
	}})
	user := func(name string) transport.Credential {
		return d.proves(transport.Claim{User: name, Password: "correct horse"})
	}
	for _, test := range []struct {
		cred  transport.Credential
		words []string
	}{
		{user("ann"), []string{"user:ann"}},
		{user("bob"), []string{"user:bob"}},
		{user("cleo"), []string{"user:cleo"}},
		{d.proves(transport.Claim{Token: secret}), []string{"token:ci"}},
		{subject("cert:x"), []string{"cert:x"}},
		{member{"uid:7", []uint32{7, 27}, false}, []string{"uid:7", "gid:7", "gid:27"}},
		{member{"uid:7", []uint32{7}, true}, []string{"uid:7", "gid:7", "socket-group"}},
		{member{"uid:7", []uint32{7}, false}, []string{"uid:7", "gid:7"}},
		{subject("uid:" + strconv.Itoa(os.Geteuid())), []string{"uid:" + strconv.Itoa(os.Geteuid())}},
	} {
		given, err := p.Assumed(test.words)
		require.NoError(t, err)
		require.Equal(t, allowed(p, test.cred), allowed(p, given...), test.words)
	}
	dave, err := p.Assumed([]string{"user:dave"})
	require.NoError(t, err)
	require.Equal(t, nothing, allowed(p, dave...), "a user that is not in the file cannot prove its name")
}
