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
