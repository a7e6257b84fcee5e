package interop_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	httpd "github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/websocket"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// A tlsPort is a listener with TLS over TCP, for TLS clients of other projects.
type tlsPort struct {
	place    transport.Transport
	required bool                              // the listener requires a client certificate
	whoami   func(token string) (ask []string) // the texts that a client writes for a whoami; before the second one it reads a response
	socket   *mgr.Listener
}

// tlsPorts runs a daemon with such listeners, and returns the CA and the credentials that they trust.
func tlsPorts(t *testing.T) (*alltransports.Env, map[string]*tlsPort) {
	t.Helper()
	w := alltransports.New(t)
	const address = "127.0.0.1:0"
	ports := map[string]*tlsPort{
		"tls":   {place: &tcp.Transport{Address: address, TLS: w.Server}, required: true, whoami: askInStream},
		"wss":   {place: &websocket.Transport{Address: address, TLS: w.Server, Authenticator: alltransports.FakeAuth{}}, whoami: askByUpgrade},
		"https": {place: &httpd.Transport{Address: address, TLS: w.Server, Authenticator: alltransports.FakeAuth{}}, whoami: askByPost},
	}
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: everybody{}})
	for _, port := range ports {
		var err error
		port.socket, err = m.Open(t.Context(), port.place)
		require.NoError(t, err)
	}
	testdaemon.Serve(t, m)
	return w, ports
}

const whoamiRequest = `{"command":"whoami"}`

func askInStream(string) []string { return []string{whoamiRequest} }

// askByPost asks with a POST. The daemon closes the connection after the response.
func askByPost(token string) []string {
	return []string{"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n" +
		bearerLine(token) + "Content-Length: 20\r\n\r\n" + whoamiRequest}
}

// askByUpgrade asks with a WebSocket message, whose mask is zero (RFC 6455, section 5.3). The key is the example of the RFC.
func askByUpgrade(token string) []string {
	return []string{"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		bearerLine(token) + "\r\n", "\x81\x94\x00\x00\x00\x00" + whoamiRequest}
}

// bearerLine returns the header line with a token.
func bearerLine(token string) string {
	if token == "" {
		return ""
	}
	return "Authorization: Bearer " + token + "\r\n"
}

// Each TLS listener serves openssl s_client with good credentials, and refuses it with others.
func TestOpenSSLIsServedOrRefusedByItsCredentials(t *testing.T) {
	testkit.NeedProgram(t, "openssl", "openssl")
	w, ports := tlsPorts(t)
	issue := func(ca *tlsconf.CA, name string) []string {
		c, err := ca.IssueClient(name, name+".example", 0)
		require.NoError(t, err)
		return []string{"-cert", c.Cert, "-key", c.Key}
	}
	ops, former := issue(w.CA, "ops"), issue(w.CA, "former")
	require.NoError(t, w.CA.Revoke("former"))
	require.NoError(t, w.Server.Reload())
	others, err := tlsconf.CreateCA(filepath.Join(t.TempDir(), "pki"), "others")
	require.NoError(t, err)
	stranger := issue(others, "ops")

	for name, port := range ports {
		const badCertificate, unknownCA, protocolVersion, certificateRequired = 42, 48, 70, 116
		// refused tests a client that reads nothing but an alert (RFC 8446, section 6.2).
		refused := func(alert int, args ...string) func(*testing.T) {
			return func(t *testing.T) {
				answer, complaint := port.openssl(t, w, port.whoami(alltransports.Secret), args...)
				require.Empty(t, answer)
				require.Contains(t, complaint, fmt.Sprintf("SSL alert number %d\n", alert))
			}
		}
		t.Run(name, func(t *testing.T) {
			t.Run("certificate", func(t *testing.T) {
				answer, complaint := port.openssl(t, w, port.whoami(""), ops...)
				require.Contains(t, answer, `"subjects": [ "cert:ops.example", "cert-sha256:`, complaint)
				require.Contains(t, answer, `"transport": "`+name+`"`)
			})
			if port.required {
				t.Run("no certificate", refused(certificateRequired))
			} else {
				t.Run("token", func(t *testing.T) {
					answer, complaint := port.openssl(t, w, port.whoami(alltransports.Secret))
					require.Contains(t, answer, `"subjects": [ "token:ci" ]`, complaint)
				})
				t.Run("nothing", func(t *testing.T) {
					answer, complaint := port.openssl(t, w, port.whoami("")[:1])
					require.Contains(t, answer, "HTTP/1.1 401 Unauthorized\r\n", complaint)
				})
			}
			t.Run("TLS 1.2", refused(protocolVersion, slices.Concat(ops, []string{"-tls1_2"})...))
			t.Run("revoked", refused(badCertificate, former...))
			t.Run("another CA's", refused(unknownCA, stranger...))
		})
	}
}

// openssl connects and asks. It returns all bytes of the daemon, and the messages of openssl.
func (p *tlsPort) openssl(t *testing.T, w *alltransports.Env, asks []string, args ...string) (answer, complaint string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", slices.Concat([]string{
		"s_client", "-quiet", "-connect", p.socket.Addr().String(),
		"-CAfile", filepath.Join(w.Dir, tlsconf.CACert), "-verify_return_error", "-verify_ip", "127.0.0.1",
	}, args)...)
	stdin, err := cmd.StdinPipe() // it stays open, so the daemon ends the connection
	require.NoError(t, err)
	var out, said testkit.Output
	cmd.Stdout, cmd.Stderr = &out, &said
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the exit status says little; the test checks the text
		close(ended)
	}()
	for i, ask := range asks {
		if i > 0 {
			testkit.Eventually(t, func() bool { return isClosed(ended) || out.String() != "" }, "nothing comes")
		}
		_, _ = io.WriteString(stdin, ask) // the daemon may have refused the client already
	}
	<-ended
	require.NoError(t, ctx.Err(), "it does not end: %s\n%s", &out, &said)
	return out.String(), said.String()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// acceptable has the findings of testssl that are no weakness of ours, by their names.
var acceptable = map[string]string{
	"engine_problem": "it is about the openssl that testssl runs, which has no GOST",
	"optimal_proto":  "the same, which has no certificate to show where one is wanted",
}

// testssl searches each TLS listener for weak protocols and known attacks. It has no certificate; its handshakes end before
// they need one.
func TestTestSSLFindsNoWeakness(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	testssl := testkit.NeedProgram(t, "testssl", "testssl.sh")
	testkit.NeedProgram(t, "hexdump", "bsdmainutils")
	testkit.NeedProgram(t, "dig", "dnsutils")
	_, ports := tlsPorts(t)
	for name, port := range ports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "findings.json")
			ctx, cancel := context.WithTimeout(t.Context(), 10*testkit.Timeout)
			defer cancel()
			cmd := exec.CommandContext(ctx, testssl, "-p", "-U", "--quiet", "--color", "0", "--warnings", "off",
				"--jsonfile", file, port.socket.Addr().String())
			out, _ := cmd.CombinedOutput() // the exit status also counts tests that it could not run
			text, err := os.ReadFile(file)
			require.NoError(t, err, "%s", out)
			var findings []struct{ ID, Severity, Finding string }
			require.NoError(t, json.Unmarshal(text, &findings, json.MatchCaseInsensitiveNames(true)), "%s", text)

			found := map[string]string{}
			for _, f := range findings {
				found[f.ID] = f.Finding
				if acceptable[f.ID] == "" {
					require.Contains(t, []string{"OK", "INFO", "DEBUG"}, f.Severity, "%s: %s", f.ID, f.Finding)
				}
			}
			for _, old := range []string{"SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2"} {
				require.Equal(t, "not offered", found[old], old)
			}
			require.Equal(t, "offered with final", found["TLS1_3"]) // testssl has reached the listener
			for _, attack := range []string{"heartbleed", "CCS", "ROBOT", "secure_client_renego", "POODLE_SSL", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4"} {
				require.Contains(t, found, attack, "it was not looked for")
			}
		})
	}
}
