package quic_test

import (
	"net"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
)

// ngtcp2 with GnuTLS is a client that shares no code with this package. It asks for HTTP/3, which the daemon does not have,
// but it uses everything before that: the handshake with a certificate, a stream, and a change of its address.
func TestNgtcp2ClientConnects(t *testing.T) {
	gtlsclient := testkit.NeedProgram(t, "gtlsclient", "ngtcp2-client")
	at := place(t)
	at.LikeHTTP3()
	l := listen(t, at)
	for _, kind := range [][]string{{"--nat-rebinding"}, {}} { // {}: it tells of its new address itself
		dir := pki(t)
		host, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		peer := exec.Command(gtlsclient, append(kind, "--cert="+dir+"/ops.example.pem", "--key="+dir+"/ops.example.key",
			"--change-local-addr=100ms", "--delay-stream=300ms", "--timeout=1s", "--exit-on-all-streams-close", "--no-quic-dump", host, port, "https://"+host+"/")...)
		output := make(chan string, 1)
		go func() {
			text, _ := peer.CombinedOutput() // its status does not tell
			output <- string(text)
		}()

		c := accept(t, l)
		require.Equal(t, "cert:ops.example", c.Peer().Creds[0].Subject())
		_, err = c.Receive(within(t, testkit.Timeout), nil) // the request of HTTP/3
		require.ErrorAs(t, err, new(*transport.FrameError))
		before := c.Peer().Addr.String()
		testkit.Eventually(t, func() bool {
			now := quic.Whereabouts(l)
			return len(now) == 1 && now[0] != before
		}, "the address changes")
		send(t, c, `{"not":"HTTP/3"}`)
		require.NoError(t, c.Close())
		text := <-output
		require.Contains(t, text, "PATH_CHALLENGE")
		require.Regexp(t, `frm rx \d+ 1RTT STREAM`, text)
		testkit.Eventually(t, func() bool { return quic.Counted(l) == 0 }, "it is gone")
	}
}
