//go:build unix

package transport_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// A twoPipes is read from one descriptor and written to another, as a child's standard streams are.
type twoPipes struct{ in, out *os.File }

func (p twoPipes) Read(b []byte) (int, error)            { return p.in.Read(b) }
func (p twoPipes) Write(b []byte) (int, error)           { return p.out.Write(b) }
func (p twoPipes) SetReadDeadline(t time.Time) error     { return p.in.SetReadDeadline(t) }
func (p twoPipes) SetWriteDeadline(t time.Time) error    { return p.out.SetWriteDeadline(t) }
func (p twoPipes) SyscallConn() (syscall.RawConn, error) { return p.in.SyscallConn() }
func (p twoPipes) Close() error                          { _ = p.in.Close(); return p.out.Close() }

// A stream that is no net.Conn may have a second descriptor, for writing.
func TestTwoDescriptors(t *testing.T) {
	hears, says, err := os.Pipe()
	require.NoError(t, err)
	in, out, err := os.Pipe()
	require.NoError(t, err)
	defer says.Close()
	defer in.Close()
	s := transport.NewStream(twoPipes{hears, out}, transport.StreamConfig{})
	defer s.Close()
	_, err = says.WriteString(`{"a":1}`)
	require.NoError(t, err)
	frame, err := s.Receive(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, s.Send(t.Context(), frame))
	line := make([]byte, 16)
	n, err := in.Read(line)
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`+"\n", string(line[:n]))
}
