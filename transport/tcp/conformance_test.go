package tcp_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/transporttest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const maxFrame = 1 << 20

func TestConformancePlain(t *testing.T) {
	transporttest.Test(t, func(testing.TB) transporttest.Pair {
		return transporttest.Pair{
			Transport: &tcp.Transport{Address: "127.0.0.1:0", Insecure: true, Anonymous: "monitor", MaxFrame: maxFrame},
			At:        func(a net.Addr) transport.Dialer { return &tcp.Half{Address: a.String()} },
		}
	}, transporttest.Config{
		MaxFrame:  maxFrame,
		Kind:      "tcp",
		Subjects:  []string{"anonymous:monitor"},
		HalfClose: tcp.CloseWrite,
		Raw: func(ctx context.Context, _ transporttest.Pair, l transport.Listener) (io.ReadWriteCloser, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		},
	})
}

func TestConformanceTLS(t *testing.T) {
	id := newIdentity(t)
	client, err := id.client.Config("127.0.0.1", tcp.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	transporttest.Test(t, func(testing.TB) transporttest.Pair {
		return transporttest.Pair{
			Transport: &tcp.Transport{Address: "127.0.0.1:0", TLS: id.server, MaxFrame: maxFrame},
			At: func(a net.Addr) transport.Dialer {
				return &tcp.Half{Address: a.String(), Client: id.client}
			},
		}
	}, transporttest.Config{
		MaxFrame:         maxFrame,
		Kind:             "tls",
		Subjects:         []string{"cert:ops.example", "cert-sha256:" + string(id.ops.Fingerprint)},
		ListenerSubjects: []string{"cert-sha256:" + string(id.daemon.Fingerprint)},
		HalfClose:        tcp.CloseWrite,
		Raw: func(ctx context.Context, _ transporttest.Pair, l transport.Listener) (io.ReadWriteCloser, error) {
			d := tls.Dialer{Config: client}
			return d.DialContext(ctx, "tcp", l.Addr().String())
		},
		Silent: func(ctx context.Context, _ transporttest.Pair, l transport.Listener) (io.Closer, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		},
	})
}

// An identity has the certificates of a daemon and a client, both issued by one CA.
type identity struct {
	ca          *tlsconf.CA
	dir         string
	daemon, ops tlsconf.Issued
	server      *tlsconf.Server
	client      *tlsconf.Client
}

func newIdentity(t testing.TB) *identity {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	id := &identity{dir: t.TempDir()}
	var err error
	id.ca, err = tlsconf.CreateCA(id.dir+"/pki", "test")
	must(err)
	id.daemon, err = id.ca.IssueServer("daemon", []string{"localhost", "127.0.0.1"}, 0)
	must(err)
	id.ops, err = id.ca.IssueClient("ops", "ops.example", 0)
	must(err)
	root, crl := id.dir+"/pki/"+tlsconf.CACert, id.dir+"/pki/"+tlsconf.CRLFile
	id.server = &tlsconf.Server{Cert: id.daemon.Cert, Key: id.daemon.Key, ClientCA: root, CRL: crl}
	id.client = &tlsconf.Client{CA: root, Cert: id.ops.Cert, Key: id.ops.Key}
	return id
}
