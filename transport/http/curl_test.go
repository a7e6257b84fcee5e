package http_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport/http"
)

// curl runs curl with the options of every command.
func curl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path := testkit.NeedProgram(t, "curl", "curl")
	args = append([]string{"-sS", "--noproxy", "*", "--max-time", "20", "-H", "Content-Type: application/json"}, args...)
	out, err := exec.Command(path, args...).CombinedOutput()
	return string(out), err
}

func TestCurlCommands(t *testing.T) {
	l := listen(t, &http.Transport{})
	echo(t, l)
	url := "http://" + l.Addr().String() + "/"
	ann := []string{"-u", "ann:secret"}
	for _, args := range [][]string{
		{"-u", "ann:secret"}, {"-H", "Authorization: Bearer token"},
		{"-u", "ann:secret", "-H", "Transfer-Encoding: chunked"}, {"-u", "ann:secret", "--http1.0"},
		{"-u", "ann:secret", "--http2"}, {"-u", "ann:secret", "--compressed"}, {"--anyauth", "-u", "ann:secret"},
	} {
		out, err := curl(t, append(args, "-d", command, url)...)
		require.NoError(t, err, "%s: %s", args, out)
		require.Equal(t, "[ "+command+" ]", out, args)
	}

	out, err := curl(t, "-w", " %{http_code}", "-d", command, url)
	require.NoError(t, err)
	require.Equal(t, `{ "result": 401, "text": "Unauthorized" } 401`, out)
	out, err = curl(t, append(ann, "-w", " %{http_code}", url)...)
	require.NoError(t, err)
	require.Equal(t, `{ "result": 405, "text": "Method Not Allowed: commands are POSTed" } 405`, out)

	// A large body is announced with Expect: 100-continue. Kea lets curl wait in vain; here that would
	// take longer than the whole command may.
	file := filepath.Join(t.TempDir(), "body.json")
	body := `{"command":"x","arguments":"` + strings.Repeat("x", 2<<20) + `"}`
	require.NoError(t, os.WriteFile(file, []byte(body), 0o600))
	for _, more := range [][]string{{}, {"-H", "Transfer-Encoding: chunked"}, {"-H", "Expect:"}} {
		more = append(more, "--expect100-timeout", "60")
		out, err = curl(t, append(append(ann, more...), "--data-binary", "@"+file, url)...)
		require.NoError(t, err, "%.300s", out)
		require.Equal(t, "[ "+body+" ]", out)

		out, err = curl(t, append(more, "-w", " %{http_code}", "--data-binary", "@"+file, url)...) // and refused at once
		require.NoError(t, err, "%.300s", out)
		require.Equal(t, `{ "result": 401, "text": "Unauthorized" } 401`, out)
	}
}

func TestCurlWithTLS(t *testing.T) {
	server, client := serverTLS(t), clientTLS(t)
	both := listen(t, &http.Transport{TLS: server, Authenticator: ann{}})
	echo(t, both)
	certs := listen(t, &http.Transport{TLS: server})
	echo(t, certs)
	ca := []string{"--cacert", client.CA, "-d", command}
	cert := append(ca, "--cert", client.Cert, "--key", client.Key)
	for name, c := range map[string]struct {
		args []string
		want string // "": no answer
	}{
		"a certificate":                  {append(cert, "https://"+both.Addr().String()), "[ " + command + " ]"},
		"a password":                     {append(ca, "-u", "ann:secret", "https://"+both.Addr().String()), "[ " + command + " ]"},
		"both":                           {append(cert, "-u", "ann:secret", "https://"+both.Addr().String()), "[ " + command + " ]"},
		"nothing":                        {append(ca, "https://"+both.Addr().String()), `{ "result": 401, "text": "Unauthorized" }`},
		"a lie beside a certificate":     {append(cert, "-u", "ann:wrong", "https://"+both.Addr().String()), `{ "result": 401, "text": "Unauthorized" }`},
		"only a certificate will do":     {append(cert, "https://"+certs.Addr().String()), "[ " + command + " ]"},
		"no certificate":                 {append(ca, "https://"+certs.Addr().String()), ""},
		"a password where none is known": {append(cert, "-u", "ann:secret", "https://"+certs.Addr().String()), `{ "result": 401, "text": "Unauthorized" }`},
		"an older TLS":                   {append(cert, "--tls-max", "1.2", "https://"+both.Addr().String()), ""},
		"no TLS":                         {append(cert, "http://"+both.Addr().String()), ""},
		"by name":                        {append(cert, "--connect-to", "::"+hostPort(both), "https://localhost"), "[ " + command + " ]"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := curl(t, c.args...)
			if c.want == "" {
				require.Error(t, err, out)
				return
			}
			require.NoError(t, err, out)
			require.Equal(t, c.want, out)
		})
	}
}

func hostPort(l interface{ Addr() net.Addr }) string { return l.Addr().String() }
