package descriptors

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReserveIsAnEighthWithinBounds(t *testing.T) {
	for limit, want := range map[int]int{16: 8, 64: 24, 192: 24, 256: 32, 1024: 128, 1 << 20: 128} {
		require.Equal(t, want, reserveOf(limit), limit)
	}
}

func TestConnWithoutDescriptorIsNotInReserve(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	require.False(t, InReserve(a))
	require.False(t, InReserve(nil))
}
