//go:build !unix

package rawio

import "errors"

// Can reports whether there are descriptors that can be used so.
const Can = false

// Read is not there.
func Read(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

// Write is not there.
func Write(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

// Writev is not there.
func Writev(uintptr, [][]byte) (int, error) { return 0, errors.ErrUnsupported }
