//go:build !unix

package netfd

import "errors"

// supported reports whether the system has descriptors that these functions can use.
const supported = false

func read(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

func write(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

func writev(uintptr, [][]byte) (int, error) { return 0, errors.ErrUnsupported }
