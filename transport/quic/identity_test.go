package quic_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// refusals returns a function for OnRefused and a channel with the refusals.
func refusals() (func(transport.Refusal), <-chan transport.Refusal) {
	reported := make(chan transport.Refusal, 10000)
	return func(r transport.Refusal) {
		select {
		case reported <- r:
		default:
		}
	}, reported
}

func next(t testing.TB, reported <-chan transport.Refusal) transport.Refusal {
	t.Helper()
	select {
	case r := <-reported:
		return r
	case <-time.After(testkit.Timeout):
		require.Fail(t, "nothing was refused")
		return transport.Refusal{}
	}
}

// ask dials, sends a frame, and returns the error that prevents a reply.
func ask(t testing.TB, at *quic.Transport) error {
	t.Helper()
	ctx := within(t, testkit.Timeout)
	c, err := at.Dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Send(ctx, []byte("{}")); err != nil {
		return err
	}
	_, err = c.Receive(ctx, nil)
	return err
}

func TestSubjectsOfBothSides(t *testing.T) {
	pki(t)
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	ca.issue("daemon.example", x509.ExtKeyUsageServerAuth, nil)
	cert := ca.issue("ops.example", x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) {
		id, err := url.Parse("spiffe://example/ops")
		require.NoError(t, err)
		c.URIs, c.DNSNames = []*url.URL{id}, []string{"ops.example", "b.example"}
	})
	l := listen(t, &quic.Transport{Address: "127.0.0.1:0", TLS: &tlsconf.Server{
		Cert: dir + "/daemon.example.pem", Key: dir + "/daemon.example.key", ClientCA: dir + "/ca.pem",
	}})
	at := &quic.Transport{Address: l.Addr().String(), Client: &tlsconf.Client{
		CA: dir + "/ca.pem", Cert: dir + "/ops.example.pem", Key: dir + "/ops.example.key",
	}}
	dialed, accepted := pair(t, l, at)
	_, second := pair(t, l, at)
	peer := accepted.Peer()
	require.Equal(t, "quic", peer.Transport)
	require.Equal(t, peer.Session, second.Peer().Session, "streams of one connection")
	require.Equal(t, "cert:spiffe://example/ops,cert:ops.example,cert:b.example,"+tlsconf.FingerprintOf(cert).Subject(), peer.String())
	name, ok := transport.CredAs[tlsconf.Cert](peer)
	require.True(t, ok)
	require.Equal(t, cert.Raw, name.Leaf.Raw)
	require.Equal(t, l.Addr().String(), dialed.Peer().Addr.String())
	require.Equal(t, "127.0.0.1", peer.Addr.(*net.UDPAddr).IP.String())
}

func TestClientsWithBadCertificatesAreRefused(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	ca.issue("daemon.example", x509.ExtKeyUsageServerAuth, nil)
	ca.issue("good", x509.ExtKeyUsageClientAuth, nil)
	ca.issue("expired", x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
	ca.issue("early", x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
	ca.issue("server", x509.ExtKeyUsageServerAuth, nil)
	ca.revoke(ca.issue("revoked", x509.ExtKeyUsageClientAuth, nil))
	other := newAuthority(t, dir, "other")
	other.issue("otherCA", x509.ExtKeyUsageClientAuth, nil)

	for _, name := range []string{"", "expired", "early", "server", "revoked", "otherCA"} {
		t.Run("certificate "+name, func(t *testing.T) {
			onRefused, reported := refusals()
			l := listen(t, &quic.Transport{Address: "127.0.0.1:0", OnRefused: onRefused, TLS: &tlsconf.Server{
				Cert: dir + "/daemon.example.pem", Key: dir + "/daemon.example.key", ClientCA: dir + "/ca.pem", CRL: dir + "/crl.pem",
			}})
			serveEcho(l)
			withCert := func(name string) *quic.Transport {
				at := &quic.Transport{Address: l.Addr().String(), Client: &tlsconf.Client{CA: dir + "/ca.pem"}}
				if name != "" {
					at.Client.Cert, at.Client.Key = dir+"/"+name+".pem", dir+"/"+name+".key"
				}
				return at
			}
			err := ask(t, withCert(name))
			require.ErrorContains(t, err, "with --pki or --cert")
			require.NotErrorIs(t, err, net.ErrClosed)
			require.ErrorAs(t, err, new(*quicgo.TransportError))
			r := next(t, reported)
			require.Equal(t, "quic", r.Transport)
			require.Equal(t, "127.0.0.1", r.Addr.(*net.UDPAddr).IP.String())
			require.ErrorContains(t, r.Err, "handshake: ")
			t.Log(err, "|", r.Err)

			require.NoError(t, ask(t, withCert("good")))
			why, _, _ := strings.Cut(r.Err.Error(), "(local)")
			for len(reported) > 0 { // a Dial whose connection has ended already tries another
				require.ErrorContains(t, next(t, reported).Err, why, "no other client was refused")
			}
		})
	}
}

// When a client does not trust the daemon, the daemon reports the refusal, and the client gets an error that says why.
func TestUntrustedDaemonIsReported(t *testing.T) {
	onRefused, reported := refusals()
	at := place(t)
	at.OnRefused = onRefused
	l := listen(t, at)
	dir := t.TempDir()
	newAuthority(t, dir, "ca")
	suspicious := to(t, l.Addr())
	suspicious.Client.CA = dir + "/ca.pem"
	err := ask(t, suspicious)
	require.ErrorAs(t, err, new(*net.OpError))
	require.ErrorAs(t, err, new(*tlsconf.VerifyError))
	require.ErrorContains(t, err, "sha256:"+string(tlsconf.FingerprintOf(files.server)))
	require.Error(t, next(t, reported).Err)
}

func TestOtherProtocolIsRefused(t *testing.T) {
	onRefused, reported := refusals()
	at := place(t)
	at.OnRefused = onRefused
	l := listen(t, at)
	other := to(t, l.Addr())
	other.LikeHTTP3()
	require.ErrorContains(t, ask(t, other), "does not speak")
	require.Error(t, next(t, reported).Err)
}

func TestListenNeedsCertificates(t *testing.T) {
	_, err := (&quic.Transport{Address: "127.0.0.1:0"}).Listen(t.Context())
	require.ErrorContains(t, err, "QUIC needs TLS")
	require.ErrorAs(t, err, new(*net.OpError))
	at := place(t)
	at.TLS.ClientCA = ""
	_, err = at.Listen(t.Context())
	require.ErrorContains(t, err, "client CA")
}

// A client that resumes a session sends no data before the handshake is complete.
func TestResumedSessionSendsNoEarlyData(t *testing.T) {
	l := listen(t, place(t))
	serveEcho(l)
	config, err := client(t, "ops.example").Config("127.0.0.1", quic.Protocol)
	require.NoError(t, err)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	for i := range 3 {
		conn, err := quicgo.DialAddrEarly(within(t, testkit.Timeout), l.Addr().String(), config, nil)
		require.NoError(t, err)
		stream, err := conn.OpenStream()
		require.NoError(t, err)
		_, err = stream.Write([]byte("{}"))
		require.NoError(t, err)
		answer := make([]byte, 3)
		_, err = stream.Read(answer)
		require.NoError(t, err)
		require.False(t, conn.ConnectionState().Used0RTT)
		require.Equal(t, i > 0, conn.ConnectionState().TLS.DidResume)
		require.NoError(t, conn.CloseWithError(0, ""))
	}
}

// A session is not resumed when its certificate is no longer trusted.
func TestResumedSessionIsVerified(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	ca.issue("daemon.example", x509.ExtKeyUsageServerAuth, nil)
	cert := ca.issue("ops", x509.ExtKeyUsageClientAuth, nil)
	ca.revoke()
	trust := &tlsconf.Server{
		Cert: dir + "/daemon.example.pem", Key: dir + "/daemon.example.key", ClientCA: dir + "/ca.pem", CRL: dir + "/crl.pem",
	}
	l := listen(t, &quic.Transport{Address: "127.0.0.1:0", TLS: trust})
	serveEcho(l)
	at := &quic.Transport{Address: l.Addr().String(), Client: &tlsconf.Client{
		CA: dir + "/ca.pem", Cert: dir + "/ops.pem", Key: dir + "/ops.key",
	}}
	for range 3 {
		require.NoError(t, ask(t, at))
	}
	ca.revoke(cert)
	require.NoError(t, trust.Reload())
	testkit.Eventually(t, func() bool { return quic.Links(at) == 0 }, "the connection of before is not used")
	require.ErrorContains(t, ask(t, at), "does not trust the client's certificate")
}

func TestDialErrorWithoutDaemon(t *testing.T) {
	sock, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer sock.Close()
	silent := to(t, sock.LocalAddr())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = silent.Dial(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "no answer over UDP")

	require.NoError(t, sock.Close())
	began := time.Now()
	_, err = silent.Dial(within(t, testkit.Timeout))
	require.ErrorAs(t, err, new(*net.OpError))
	if time.Since(began) < 4*time.Second { // where the system tells
		require.ErrorContains(t, err, "connection refused; is the daemon running")
	} else {
		require.ErrorContains(t, err, "no answer over UDP")
	}
	for _, bad := range []string{"", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999"} {
		_, err := (&quic.Transport{Address: bad, Client: client(t, "")}).Dial(t.Context())
		require.ErrorAs(t, err, new(*net.OpError), bad)
	}
}
