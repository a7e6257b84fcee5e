package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	nethttp "net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/http"

	"github.com/stretchr/testify/require"
)

// Over HTTP each request has its credentials, and all clients behind a proxy have one address. A former version answered 429
// to some of 256 connections with a correct token or password.
func TestManyClientsWithOneAddressAreNotSlowedDown(t *testing.T) {
	const crowd, requests = 256, 4
	env := alltransports.New(t)
	for _, tc := range env.Cases() {
		if tc.Name != "http" && tc.Name != "https" {
			continue
		}
		t.Run(tc.Name, func(t *testing.T) {
			users, err := secrets.OpenUsers(filepath.Join(t.TempDir(), "users"))
			require.NoError(t, err)
			require.NoError(t, users.Add("ann", "monitor", "correct horse"))
			tokens, err := secrets.OpenTokens(filepath.Join(t.TempDir(), "tokens"))
			require.NoError(t, err)
			token, err := tokens.Mint("ci", "monitor", time.Time{})
			require.NoError(t, err)
			m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: testdaemon.AnyCredential{}})
			testdaemon.Serve(t, m)
			listener := tc.Listen(t, alltransports.Limits{}).(*http.Transport)
			listener.Authenticator = &secrets.Authenticator{Users: users, Tokens: tokens}
			socket, err := m.Open(t.Context(), listener)
			require.NoError(t, err)

			url := tc.Name + "://" + socket.Addr().String()
			client := crowded(t, env, crowd)
			for _, who := range []struct {
				subject string
				says    func(*nethttp.Request)
			}{
				{"token:ci", func(r *nethttp.Request) { r.Header.Set("Authorization", "Bearer "+token) }},
				{"user:ann", func(r *nethttp.Request) { r.SetBasicAuth("ann", "correct horse") }},
			} {
				answers := make(chan string, crowd*requests)
				var all sync.WaitGroup
				for range crowd {
					all.Go(func() {
						for range requests {
							answers <- askAs(t, client, url, who.says)
						}
					})
				}
				all.Wait()
				close(answers)
				for answer := range answers {
					require.Contains(t, answer, who.subject)
				}
			}
		})
	}
}

// crowded returns an HTTP client with that many connections.
func crowded(t *testing.T, env *alltransports.Env, conns int) *nethttp.Client {
	t.Helper()
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(env.Client.Client.CA)
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(pem))
	tr := &nethttp.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxConnsPerHost: conns, MaxIdleConnsPerHost: conns}
	t.Cleanup(tr.CloseIdleConnections)
	return &nethttp.Client{Transport: tr}
}

// askAs returns the status and the body of the response to whoami.
func askAs(t *testing.T, client *nethttp.Client, url string, says func(*nethttp.Request)) string {
	r, err := nethttp.NewRequestWithContext(t.Context(), nethttp.MethodPost, url, strings.NewReader(`{"command":"whoami"}`))
	if err != nil {
		return err.Error()
	}
	r.Header.Set("Content-Type", "application/json")
	says(r)
	resp, err := client.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return resp.Status + " " + string(body)
}
