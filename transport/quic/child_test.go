package quic_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	quicproxy "github.com/quic-go/quic-go/integrationtests/tools/proxy"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// childEnv makes the test binary a daemon that answers one request and exits. Its value is the folder with the
// certificate.
const childEnv = "RUDDERPOST_QUIC_CHILD"

// runChild listens, prints its address, answers the first request with 1 MiB, and closes the listener and then the conn, as
// a manager does. Then the process exits.
func runChild(dir string) int {
	ctx := context.Background()
	l, err := (&quic.Transport{Address: "127.0.0.1:0", TLS: &tlsconf.Server{
		Cert: dir + "/daemon.example.pem", Key: dir + "/daemon.example.key", ClientCA: dir + "/ca.pem",
	}}).Listen(ctx)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(l.Addr())
	c, err := l.Accept(ctx)
	if err != nil {
		return 2
	}
	if _, err := c.Receive(ctx, nil); err != nil {
		return 3
	}
	if os.Args[len(os.Args)-1] == "conn" {
		err = c.Send(ctx, []byte(mebibyte))
		_ = c.Close()
		_ = l.Close()
	} else {
		_ = l.Close()
		err = c.Send(ctx, []byte(mebibyte))
		_ = c.Close()
	}
	if err != nil {
		return 4
	}
	return 0
}

// A process that exits directly after its drain has delivered its last reply.
func TestExitAfterDrainDeliversLastReply(t *testing.T) {
	for _, first := range []string{"listener", "conn"} {
		for _, loss := range []float64{0, 0.05} {
			t.Run(fmt.Sprintf("%s first, %v lost", first, loss), func(t *testing.T) {
				exe, err := os.Executable()
				require.NoError(t, err)
				child := exec.Command(exe, first)
				child.Env = append(os.Environ(), childEnv+"="+pki(t), "GORACE=atexit_sleep_ms=0")
				child.Stderr = os.Stderr
				out, err := child.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, child.Start())
				line, err := bufio.NewReader(out).ReadString('\n')
				require.NoError(t, err)

				addr, err := net.ResolveUDPAddr("udp", strings.TrimSpace(line))
				require.NoError(t, err)
				sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
				require.NoError(t, err)
				defer sock.Close()
				between := quicproxy.Proxy{ServerAddr: addr, Conn: sock, DropPacket: func(quicproxy.Direction, net.Addr, net.Addr, []byte) bool {
					return rand.Float64() < loss
				}}
				require.NoError(t, between.Start())
				defer between.Close()

				c := dial(t, to(t, sock.LocalAddr()))
				send(t, c, `{"command":"config-get"}`)
				require.Equal(t, mebibyte, receive(t, c))
				_, err = c.Receive(within(t, testkit.Timeout), nil)
				require.ErrorIs(t, err, io.EOF)
				require.NoError(t, c.Close())
				require.NoError(t, child.Wait())
			})
		}
	}
}
