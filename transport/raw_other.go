//go:build !unix

package transport

import "errors"

const canRaw = false

func readRaw(uintptr, []byte) (int, error)       { return 0, errors.ErrUnsupported }
func writeRaw(uintptr, []byte) (int, error)      { return 0, errors.ErrUnsupported }
func writeAllRaw(uintptr, [][]byte) (int, error) { return 0, errors.ErrUnsupported }
