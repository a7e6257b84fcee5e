package mgr

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A timer may ring for a sender that has done its turn, and serves another conversation already: neither notices.
func TestNobodyIsRelievedOfAnothersTurn(t *testing.T) {
	was, is := &sender{}, &sender{}
	for _, c := range []*conversation{{writing: true, by: is}, {settling: true, by: is}} {
		writing, settling := c.writing, c.settling
		c.changed.L = &c.mu
		c.relieve(was)
		require.False(t, was.lost)
		require.Equal(t, writing, c.writing)
		require.Equal(t, settling, c.settling)
	}
}

// A timer may fire when the reader that it is for has written its replies. It then starts no second reader.
func TestStaleTimerDetachesNoReader(t *testing.T) {
	w := &sender{}
	c := &conversation{m: New(nil), peer: &peer{}, writing: true, sending: true, by: w}
	c.changed.L = &c.mu
	c.unsent(nil, 0)
	c.relieve(w)
	require.False(t, w.lost)
}
