package transport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A reasoned is a conn that notes how it was closed.
type reasoned struct {
	Conn
	closed bool
	reason CloseReason
}

func (r *reasoned) Close() error { r.closed = true; return nil }

func (r *reasoned) CloseWithReason(reason CloseReason) error {
	r.reason = reason
	return r.Close()
}

func TestCloseWithReasonOnlyClosesAConnThatCarriesNoReason(t *testing.T) {
	reason := CloseReason{Code: GoingAway, Text: "enough"}
	carries := &reasoned{}
	require.NoError(t, CloseWithReason(carries, reason))
	require.Equal(t, &reasoned{closed: true, reason: reason}, carries)

	wrapped := &reasoned{}
	require.NoError(t, CloseWithReason(struct{ Conn }{wrapped}, reason))
	require.Equal(t, &reasoned{closed: true}, wrapped)
}
