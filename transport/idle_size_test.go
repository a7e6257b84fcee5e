package transport

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// TestIdleStreamIsSmall: the runtime rounds the size of an object up to 704, 768 or 896 bytes, so that one word too
// many costs each idle conn 128 bytes.
func TestIdleStreamIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(Stream{}), uintptr(768))
}
