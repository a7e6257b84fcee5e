package websocket_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/transporttest"
	"github.com/rudderpost/rudderpost/transport/websocket"
)

const maxFrame = 1 << 20

// tcp connects and sends nothing.
func tcp(ctx context.Context, _ transporttest.Pair, l transport.Listener) (io.Closer, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
}

func TestConformance(t *testing.T) {
	transporttest.Test(t, func(testing.TB) transporttest.Pair {
		at := daemon()
		at.MaxFrame = maxFrame
		return transporttest.Pair{
			Transport: at,
			At:        func(a net.Addr) transport.Dialer { return ann(a) },
		}
	}, transporttest.Config{
		MaxFrame: maxFrame, Kind: "ws", Subjects: []string{"user:ann"}, Departs: true, Silent: tcp,
	})
}

func TestConformanceTLS(t *testing.T) {
	id := newIdentity(t)
	transporttest.Test(t, func(testing.TB) transporttest.Pair {
		return transporttest.Pair{
			Transport: &websocket.Transport{Address: "127.0.0.1:0", Path: "/control", TLS: id.server, MaxFrame: maxFrame},
			At: func(a net.Addr) transport.Dialer {
				return &websocket.Transport{Address: a.String(), Path: "/control", Client: id.client}
			},
		}
	}, transporttest.Config{
		MaxFrame:         maxFrame,
		Kind:             "wss",
		Subjects:         []string{"cert:ops.example", "cert-sha256:" + string(id.ops.Fingerprint)},
		ListenerSubjects: []string{"cert-sha256:" + string(id.daemon.Fingerprint)},
		Departs:          true,
		Silent:           tcp,
	})
}

// A Handler is mounted on a mux of a server of net/http.
func TestConformanceMounted(t *testing.T) {
	transporttest.Test(t, func(t testing.TB) transporttest.Pair {
		at := daemon()
		at.MaxFrame = maxFrame
		h := at.Handler()
		mux := http.NewServeMux()
		mux.Handle("/", http.NotFoundHandler())
		mux.Handle("/control", h)
		dialer := ann(serve(t, mux))
		dialer.Path = "/control"
		return transporttest.Pair{Transport: h, Dialer: dialer}
	}, transporttest.Config{
		MaxFrame: maxFrame, Kind: "ws", Subjects: []string{"user:ann"}, Departs: true,
		Silent: func(ctx context.Context, p transporttest.Pair, _ transport.Listener) (io.Closer, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", p.Dialer.(*websocket.Transport).Address)
		},
	})
}
