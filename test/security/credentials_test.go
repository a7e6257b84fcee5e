package security_test

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// On every transport, a client with good credentials is served. A client with wrong credentials, or without any, does not
// get a conn, and OnRefused is called.
func TestWrongCredentialsAreRefusedOnEveryTransport(t *testing.T) {
	env := alltransports.New(t)
	identities := impostors(t, env)
	for _, tc := range env.Cases() {
		t.Run(tc.Name, func(t *testing.T) {
			var refusals atomic.Int64
			m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: testdaemon.AnyCredential{}})
			stop := testdaemon.Serve(t, m)
			socket, err := m.Open(t.Context(), tc.Listen(t, alltransports.Limits{
				OnRefused: func(r transport.Refusal) {
					require.Error(t, r.Err)
					require.Equal(t, tc.Name, r.Transport)
					require.NotNil(t, r.Addr)
					refusals.Add(1)
				},
			}))
			require.NoError(t, err)
			identities := identities
			if subject, ok := map[string]string{"unix": `"uid:`, "tcp": "anonymous:monitor"}[tc.Name]; ok {
				identities = []impostor{{name: "nothing to show", good: true, subject: subject}}
			}
			for _, who := range identities {
				if who.certificate && !tc.Secure || !who.certificate && tc.Secure && !tc.Passwords {
					continue // this transport does not ask for such a credential
				}
				t.Run(who.name, func(t *testing.T) {
					before := refusals.Load()
					reply, err := askWho(t, tc, socket.Addr(), who.Identity)
					if who.good {
						require.NoError(t, err)
						require.Equal(t, wire.CodeSuccess, reply.Code)
						require.Contains(t, testdaemon.Arguments(t, reply), who.subject)
						require.Equal(t, before, refusals.Load())
						return
					}
					require.Error(t, err, "it was answered: %+v", reply)
					require.NotErrorIs(t, err, context.DeadlineExceeded)
					t.Log(err)
					testkit.Eventually(t, func() bool { return refusals.Load() > before }, "nobody was told")
				})
			}
			require.NoError(t, stop())
		})
	}
}

func askWho(t *testing.T, tc alltransports.Case, addr net.Addr, id alltransports.Identity) (wire.Reply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
	defer cancel()
	return client.Do(ctx, tc.Dial(addr, id), wire.Request{Command: "whoami"})
}

// An impostor is a client with good or with wrong credentials.
type impostor struct {
	name        string
	good        bool
	certificate bool // otherwise it has a password, a token or nothing
	subject     string
	alltransports.Identity
}

func impostors(t *testing.T, env *alltransports.Env) []impostor {
	t.Helper()
	issue := func(ca *tlsconf.CA, name string, life time.Duration) *tlsconf.Client {
		cert, err := ca.IssueClient(name, name, life)
		require.NoError(t, err)
		return &tlsconf.Client{CA: env.Client.Client.CA, Cert: cert.Cert, Key: cert.Key}
	}
	other, err := tlsconf.CreateCA(t.TempDir()+"/other", "rudderpost private CA") // with the same name
	require.NoError(t, err)
	revoked := issue(env.CA, "revoked", 0)
	require.NoError(t, env.CA.Revoke("revoked"))
	server, err := env.CA.IssueServer("notaclient", []string{"localhost"}, 0)
	require.NoError(t, err)
	noCert := &tlsconf.Client{CA: env.Client.Client.CA}
	some := func(claim transport.Claim) alltransports.Identity {
		return alltransports.Identity{Client: noCert, Claim: claim}
	}
	cert := func(c *tlsconf.Client) alltransports.Identity { return alltransports.Identity{Client: c} }
	return []impostor{
		{"certificate", true, true, "cert:ops", cert(issue(env.CA, "ops", 0))},
		{"no certificate", false, true, "", cert(noCert)},
		{"another CA", false, true, "", cert(issue(other, "ops", 0))},
		{"expired", false, true, "", cert(issue(env.CA, "old", time.Nanosecond))},
		{"revoked", false, true, "", cert(revoked)},
		{"wrong EKU", false, true, "", cert(&tlsconf.Client{CA: noCert.CA, Cert: server.Cert, Key: server.Key})},
		{"password", true, false, "user:ann", some(transport.Claim{User: "ann", Password: alltransports.Secret})},
		{"token", true, false, "token:ci", some(transport.Claim{Token: alltransports.Secret})},
		{"nothing", false, false, "", some(transport.Claim{})},
		{"wrong password", false, false, "", some(transport.Claim{User: "ann", Password: "x"})},
		{"empty password", false, false, "", some(transport.Claim{User: "ann"})},
		{"unknown user", false, false, "", some(transport.Claim{User: "bob", Password: alltransports.Secret})},
		{"wrong token", false, false, "", some(transport.Claim{Token: "x"})},
		{"good certificate, wrong password", false, false, "",
			alltransports.Identity{Client: env.Client.Client, Claim: transport.Claim{User: "ann", Password: "x"}}},
	}
}
