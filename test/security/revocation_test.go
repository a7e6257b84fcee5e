package security_test

import (
	"log/slog"
	"sync"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A register is an Authorizer that allows all calls, and keeps the credentials of the last one.
type register struct {
	mu    sync.Mutex
	creds []transport.Credential // of the last call
}

func (r *register) Authorize(call *mgr.Call) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.creds = call.Peer.Creds
	return nil
}

func (r *register) latest() []transport.Credential {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.creds
}

// On every transport with TLS, the credentials of a certificate report its revocation while the conn is open.
func TestRevokedCertificateIsReportedOnEveryTransport(t *testing.T) {
	w := alltransports.New(t)
	for _, tc := range w.Cases() {
		if !tc.Secure {
			continue
		}
		t.Run(tc.Name, func(t *testing.T) {
			_, err := w.CA.IssueClient(tc.Name, tc.Name+".example", 0)
			require.NoError(t, err)
			var seen register
			m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: &seen})
			socket, err := m.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
			require.NoError(t, err)
			testdaemon.Serve(t, m)
			id := alltransports.Identity{Client: tlsconf.ClientFrom(w.Dir, tc.Name)}
			reply, err := client.Do(t.Context(), tc.Dial(socket.Addr(), id), wire.Request{Command: "whoami"})
			require.NoError(t, err)
			require.NoError(t, reply.Err())

			creds := seen.latest()
			require.Len(t, creds, 2)
			require.Equal(t, "cert:"+tc.Name+".example", creds[0].Subject())
			revoked := func() (all []bool) {
				for _, cred := range creds {
					all = append(all, cred.(transport.Revocable).Revoked())
				}
				return all
			}
			require.Equal(t, []bool{false, false}, revoked())
			require.NoError(t, w.CA.Revoke(tc.Name))
			require.Equal(t, []bool{true, true}, revoked())
		})
	}
}
