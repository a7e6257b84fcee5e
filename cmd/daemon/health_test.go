package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// An HTTPS listener of a daemon without [auth] requires a client certificate in the handshake.
func TestHealthIsReachableWithoutCertificateBesideAListenerThatRequiresOne(t *testing.T) {
	dir := testkit.ShortDir(t)
	address := testkit.Port(t)
	p := startIn(t, dir, "state-dir = \"run\"\n"+withMetrics+fmt.Sprintf("[[listen]]\ntransport = \"http\"\naddress = %q\npki = \"auto\"\n", address))
	p.listening()
	metrics := strings.TrimSuffix(p.metricsURL(), "/metrics")

	admin, noCert := tlsconf.ClientFrom(filepath.Join(dir, "run", "pki"), ""), tlsconf.ClientFrom(filepath.Join(dir, "run", "pki"), "")
	noCert.Cert, noCert.Key = "", ""
	ask := func(id *tlsconf.Client, path string) (int, error) {
		config, err := id.Config("127.0.0.1", "http/1.1")
		require.NoError(t, err)
		client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		answer, err := client.Get("https://" + address + path)
		if err != nil {
			return 0, err
		}
		return answer.StatusCode, answer.Body.Close()
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		status, body := httpGet(t, http.MethodGet, metrics+path, "")
		require.Equal(t, http.StatusOK, status, path)
		require.Equal(t, "ok\n", body)
		status, err := ask(admin, path)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status, path)
		_, err = ask(noCert, path)
		require.ErrorContains(t, err, "certificate required", "the listener does not require a certificate any more")
	}
	p.stop()
}

func TestHealthOnTheMetricsListenerIsGuardedAsMetricsAre(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), withMetrics)
	at := strings.TrimSuffix(p.metricsURL(), "/metrics")
	for _, path := range []string{"/healthz", "/readyz"} {
		for _, test := range []struct {
			method, path, host, body string
			status                   int
		}{
			{http.MethodGet, path, "", "ok\n", http.StatusOK},
			{http.MethodHead, path, "metrics.example", "", http.StatusOK},
			{http.MethodGet, path, "evil.example", "the host \"evil.example\" is not a name of this daemon; if it is, add it to allow-hosts in [metrics]\n", http.StatusForbidden},
			{http.MethodPost, path, "", "Method Not Allowed\n", http.StatusMethodNotAllowed},
			{http.MethodGet, path + "/", "", "404 page not found\n", http.StatusNotFound},
		} {
			status, body := httpGet(t, test.method, at+test.path, test.host)
			require.Equal(t, test.status, status, "%v", test)
			require.Equal(t, test.body, body, "%v", test)
		}
	}
	p.stop()
}

func TestReadyIs503WhileTheDaemonDrains(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), withMetrics+"[limits]\ndrain-timeout = \"1h\"\nwrite-timeout = \"1h\"\n")
	at := strings.TrimSuffix(p.metricsURL(), "/metrics")
	conn := fillReplies(t, p) // the drain waits for the reader of this conn
	status, _ := httpGet(t, http.MethodGet, at+"/readyz", "")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	var body string
	testkit.Eventually(t, func() bool {
		status, body = httpGet(t, http.MethodGet, at+"/readyz", "")
		return status != http.StatusOK
	}, "the daemon is still ready")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "takes no commands\n", body)
	status, body = httpGet(t, http.MethodGet, at+"/healthz", "")
	require.Equal(t, http.StatusOK, status, "the process runs")
	require.Equal(t, "ok\n", body)
	require.NoError(t, conn.Close())
	require.Zero(t, p.wait())
}

func TestReadyIs503BeforeAConfigurationIsInForce(t *testing.T) {
	s := openMetrics(t, func() bool { return false })
	status, _ := httpGet(t, http.MethodGet, "http://"+s.addr.String()+"/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, status)
}
