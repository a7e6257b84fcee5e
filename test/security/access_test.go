package security_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// zones returns the commands of the table. A command that runs stores its name in ran.
func zones(ran *atomic.Value) []mgr.Command {
	command := func(name string, level mgr.Level) mgr.Command {
		return mgr.Command{Name: name, Level: level, Handler: func(_ context.Context, call *mgr.Call) (wire.Reply, error) {
			ran.Store(call.Name)
			return wire.Reply{}, nil
		}}
	}
	return []mgr.Command{
		command("look", mgr.Read), command("zone-add", mgr.Write), command("zone-delete", mgr.Write),
		command("zone-transfer-all", mgr.Admin), command("end", mgr.Admin),
	}
}

// An expectation is a row of the table: the result of a command for a role.
type expectation struct {
	command, arguments string
	result             wire.Code
}

var (
	plain = []expectation{
		{"look", "", 0}, {"zone-add", "", 0}, {"zone-delete", "", 0}, {"zone-transfer-all", "", 0}, {"end", "", 0}, {"no-such", "", 2},
	}
	large = strings.Repeat("x", 256<<10)
)

// of returns plain with these results.
func of(results ...wire.Code) []expectation {
	rows := append([]expectation(nil), plain...)
	for i, result := range results {
		rows[i].result = result
	}
	return rows
}

// expectations are the rows of each role. They hold for every credential on every transport.
var expectations = []struct {
	role access.Role
	most mgr.Level // max-access of the listener
	rows []expectation
}{
	{access.Role{Name: ""}, 0, of(403, 403, 403, 403, 403, 403)},
	{access.Role{Name: "monitor"}, 0, of(0, 403, 403, 403, 403, 2)},
	{access.Role{Name: "operator"}, 0, of(0, 0, 0, 403, 403, 2)},
	{access.Role{Name: "admin"}, 0, of(0, 0, 0, 0, 0, 2)},
	{access.Role{Name: "admin"}, mgr.Read, of(0, 403, 403, 403, 403, 2)},
	{access.Role{Name: "admin"}, mgr.Write, of(0, 0, 0, 403, 403, 2)},
	{access.Role{Name: "x", Allow: []string{"write"}}, 0, of(403, 0, 0, 403, 403, 403)},
	{access.Role{Name: "x", Allow: []string{"zone-*"}}, 0, of(403, 0, 0, 0, 403, 403)},
	{access.Role{Name: "x", Allow: []string{"zone-*"}}, mgr.Write, of(403, 0, 0, 403, 403, 403)},
	{access.Role{Name: "x", Allow: []string{"read", "zone-*"}, Deny: []string{"*-all", "zone-delete"}}, 0, of(0, 0, 403, 403, 403, 2)},
	{access.Role{Name: "x", Allow: []string{"read", "write", "admin"}, Deny: []string{"admin", "no-*"}}, 0, of(0, 0, 0, 403, 403, 403)},
	{access.Role{Name: "x", Allow: []string{"*"}, Deny: []string{"*"}}, 0, of(403, 403, 403, 403, 403, 403)},
	{access.Role{Name: "x", Allow: []string{"zone-add"}}, 0, []expectation{ // near misses
		{"zone-add", "", 0},
		{"Zone-add", "", 403}, {"ZONE-ADD", "", 403}, {"zone-add ", "", 403}, {" zone-add", "", 403}, {"zone-add\n", "", 403},
		{"zone-add\x00", "", 403}, {"zone-add\x00look", "", 403}, {"zone_add", "", 403}, {"zone-addd", "", 403}, {"zone-ad", "", 403}, {"zone", "", 403},
		{"zоne-add", "", 403}, {"zone‐add", "", 403}, {"zone−add", "", 403}, {"ｚone-add", "", 403}, {"zone-add\u200b", "", 403}, {"zone-a\u0301dd", "", 403},
		{"zone-add/../look", "", 403}, {"./zone-add", "", 403}, {"zone-add/", "", 403}, {"zone%2dadd", "", 403}, {"zone-add;look", "", 403}, {"zone-add,look", "", 403},
		{"zone-*", "", 403}, {"*", "", 403}, {"zone-add*", "", 403}, {"write", "", 403}, {"zone-add." + large, "", 403},
	}},
	{access.Role{Name: "x", Allow: []string{"zone-*"}, Arguments: []access.ArgumentRule{
		{Commands: []string{"zone-*"}, Pointer: "/zone", Values: []any{"a.example", "b.example", int64(7)}},
		{Commands: []string{"zone-delete"}, Pointer: "/sure", Values: []any{true}},
	}}, 0, []expectation{
		{"zone-add", `{"zone":"a.example"}`, 0}, {"zone-add", `{"zone":"b.example","ttl":5}`, 0}, {"zone-add", `{"zone":7}`, 0},
		{"zone-add", `{"z\u006fne":"\u0061.example"}`, 0}, {"zone-add", `{ "x" : {"zone":"c.example"} , "zone" : "a.example" }`, 0},
		{"zone-add", "", 403}, {"zone-add", `{}`, 403}, {"zone-add", `null`, 403}, {"zone-add", `[]`, 403}, {"zone-add", `"a.example"`, 403}, {"zone-add", `{"zone":null}`, 403},
		{"zone-add", `{"zone":"c.example"}`, 403}, {"zone-add", `{"zone":"A.example"}`, 403}, {"zone-add", `{"Zone":"a.example"}`, 403}, {"zone-add", `{"zone":"a.example."}`, 403},
		{"zone-add", `{"zone":"а.example"}`, 403}, {"zone-add", `{"zone":"a.example\u0000"}`, 403}, {"zone-add", `{"zone":["a.example"]}`, 403}, {"zone-add", `{"zone":{"zone":"a.example"}}`, 403},
		{"zone-add", `{"x":{"zone":"a.example"}}`, 403}, {"zone-add", `{"/zone":"a.example"}`, 403}, {"zone-add", `{"zone/":"a.example"}`, 403}, {"zone-add", `{"zone":"7"}`, 403}, {"zone-add", `{"zone":7.5}`, 403},
		{"zone-add", `{"pad":"` + large + `","zone":"a.example"}`, 0}, {"zone-add", `{"pad":"` + large + `","zone":"c.example"}`, 403}, {"zone-add", `{"pad":"` + large + `"}`, 403},
		{"zone-delete", `{"zone":"a.example"}`, 403}, {"zone-delete", `{"zone":"a.example","sure":true}`, 0}, {"zone-delete", `{"zone":"a.example","sure":"true"}`, 403},
		{"zone-delete", `{"zone":"c.example","sure":true}`, 403}, {"zone-delete", `{"sure":true}`, 403},
	}},
}

// A caller is a client with the subject that it proves.
type caller struct {
	subject string
	alltransports.Identity
}

// callers returns a caller for each kind of credential of the transport.
func callers(t *testing.T, env *alltransports.Env, tc alltransports.Case) (all []caller) {
	t.Helper()
	if tc.Name == "unix" {
		return []caller{{subject: "uid:" + strconv.Itoa(os.Geteuid())}}
	}
	if tc.Secure {
		cert, err := env.CA.IssueClient("dns-"+tc.Name, "dns.example", 0)
		require.NoError(t, err)
		id := alltransports.Identity{Client: &tlsconf.Client{CA: env.Client.Client.CA, Cert: cert.Cert, Key: cert.Key}}
		all = append(all, caller{"cert:dns.example", id}, caller{cert.Fingerprint.Subject(), id})
	}
	if tc.Passwords {
		noCert := &tlsconf.Client{CA: env.Client.Client.CA}
		all = append(all,
			caller{"user:ann", alltransports.Identity{Client: noCert, Claim: transport.Claim{User: "ann", Password: alltransports.Secret}}},
			caller{"token:ci", alltransports.Identity{Client: noCert, Claim: transport.Claim{Token: alltransports.Secret}}})
	}
	if len(all) == 0 {
		all = []caller{{subject: "anonymous:monitor"}}
	}
	return all
}

// A role allows and refuses the same commands on every transport and for every kind of credential.
func TestRolesDecideAlikeOnEveryTransport(t *testing.T) {
	env := alltransports.New(t)
	for _, tc := range env.Cases() {
		t.Run(tc.Name, func(t *testing.T) {
			policy, err := access.NewPolicy(access.Options{NoOwner: true})
			require.NoError(t, err)
			m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: policy})
			var ran atomic.Value
			require.NoError(t, m.Register(zones(&ran)...))
			stop := testdaemon.Serve(t, m)
			places := map[mgr.Level]net.Addr{}
			for _, most := range []mgr.Level{0, mgr.Read, mgr.Write} {
				socket, err := m.Open(t.Context(), &mgr.ListenerConfig{Transport: tc.Listen(t, alltransports.Limits{}), MaxAccess: most})
				require.NoError(t, err)
				places[most] = socket.Addr()
			}
			for _, who := range callers(t, env, tc) {
				for i, test := range expectations {
					o := access.Options{NoOwner: true}
					if test.role.Name != "" {
						o.Principals = []access.Principal{{Subject: who.subject, Role: test.role.Name}}
					}
					if len(test.role.Allow) > 0 {
						o.Roles = []access.Role{test.role}
					}
					require.NoError(t, policy.Update(o))
					for _, row := range test.rows {
						ran.Store("")
						request := wire.Request{Command: row.command}
						if row.arguments != "" {
							request.Arguments = wire.Value(row.arguments)
						}
						reply, err := client.Do(t.Context(), tc.Dial(places[test.most], who.Identity), request)
						about := fmt.Sprintf("%s, role %d, %.60q %.60q", who.subject, i, row.command, row.arguments)
						require.NoError(t, err, about)
						require.Equal(t, row.result, reply.Code, "%s: %s", about, reply.Text)
						require.Less(t, len(reply.Text), 1000, about)
						if row.result == 0 {
							require.Equal(t, row.command, ran.Load(), about)
						} else {
							require.Empty(t, ran.Load(), about)
						}
					}
				}
			}
			require.NoError(t, stop())
		})
	}
}

// A changed role holds for the next command of an open conn.
func TestChangedRoleHoldsForOpenConns(t *testing.T) {
	env := alltransports.New(t)
	for _, tc := range env.Cases() {
		t.Run(tc.Name, func(t *testing.T) {
			who := callers(t, env, tc)[0]
			policy, err := access.NewPolicy(access.Options{NoOwner: true})
			require.NoError(t, err)
			m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: policy})
			var ran atomic.Value
			require.NoError(t, m.Register(zones(&ran)...))
			stop := testdaemon.Serve(t, m)
			socket, err := m.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
			require.NoError(t, err)
			say := func(command string) wire.Code {
				reply, err := client.Do(t.Context(), tc.Dial(socket.Addr(), who.Identity), wire.Request{Command: command})
				require.NoError(t, err)
				return reply.Code
			}
			if !tc.OneShot { // on HTTP each request has a conn of its own
				c, err := client.Dial(t.Context(), tc.Dial(socket.Addr(), who.Identity))
				require.NoError(t, err)
				defer func() { _ = c.Close() }()
				say = func(command string) wire.Code {
					reply, err := c.Do(t.Context(), wire.Request{Command: command})
					require.NoError(t, err)
					return reply.Code
				}
			}
			for range 3 {
				for _, step := range []struct {
					role                string
					look, add, transfer wire.Code
				}{{"admin", 0, 0, 0}, {"operator", 0, 0, 403}, {"monitor", 0, 403, 403}, {"", 403, 403, 403}} {
					var principals []access.Principal
					if step.role != "" {
						principals = []access.Principal{{Subject: who.subject, Role: step.role}}
					}
					require.NoError(t, policy.Update(access.Options{NoOwner: true, Principals: principals}))
					require.Equal(t, []wire.Code{step.look, step.add, step.transfer}, []wire.Code{say("look"), say("zone-add"), say("zone-transfer-all")}, step.role)
				}
			}
			require.NoError(t, stop())
		})
	}
}
