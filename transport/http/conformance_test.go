package http_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/transporttest"
)

const maxFrame = 1 << 20

func conformance() transporttest.Config {
	return transporttest.Config{
		MaxFrame: maxFrame,
		Kind:     "http",
		Subjects: []string{"user:ann"},
		OneShot:  true,
		Silent: func(_ context.Context, _ transporttest.Pair, l transport.Listener) (io.Closer, error) {
			return net.Dial("tcp", l.Addr().String())
		},
	}
}

// pair returns a function that makes the pairs of a Transport. dial fills in the dialer.
func pair(place *http.Transport, dial func() *http.Transport) func(testing.TB) transporttest.Pair {
	return func(t testing.TB) transporttest.Pair {
		return transporttest.Pair{
			Transport: &http.Transport{
				Address: "127.0.0.1:0", MaxFrame: maxFrame,
				Insecure: place.Insecure, TLS: place.TLS, Authenticator: place.Authenticator,
			},
			At: func(a net.Addr) transport.Dialer {
				d := dial()
				d.Address = a.String()
				t.Cleanup(d.CloseIdle)
				return d
			},
		}
	}
}

func TestConformance(t *testing.T) {
	newPair := pair(&http.Transport{Insecure: true, Authenticator: ann{}}, func() *http.Transport {
		return &http.Transport{Credentials: credentials}
	})
	transporttest.Test(t, newPair, conformance())
}

func TestConformanceWithLines(t *testing.T) {
	newPair := pair(&http.Transport{Insecure: true, Authenticator: ann{}}, func() *http.Transport {
		return &http.Transport{Credentials: transport.Claim{Token: "token"}, Lines: true}
	})
	transporttest.Test(t, newPair, conformance())
}

// Each side has a certificate, and the client also has a password.
func TestConformanceWithTLS(t *testing.T) {
	server, client := serverTLS(t), clientTLS(t)
	cfg := conformance()
	cfg.Kind = "https"
	cfg.Subjects = append(subjects(t, client.Cert), "user:ann")
	cfg.ListenerSubjects = subjects(t, server.Cert)[1:] // its fingerprint: a pin proves no names
	newPair := pair(&http.Transport{TLS: server, Authenticator: ann{}}, func() *http.Transport {
		return &http.Transport{Client: client, Credentials: credentials}
	})
	transporttest.Test(t, newPair, cfg)
}

// subjects returns the subjects of a certificate.
func subjects(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	var all []string
	for _, name := range cert.DNSNames {
		all = append(all, "cert:"+name)
	}
	return append(all, tlsconf.FingerprintOf(cert).Subject())
}
