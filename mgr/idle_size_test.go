package mgr

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// The runtime rounds the size of an object up to 320, 352 or 384 bytes.
func TestIdleConnIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(conn{}), uintptr(320))
}
