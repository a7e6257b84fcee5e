//go:build !linux

package transport

import (
	"errors"
	"os"
)

func newSet() (*os.File, error) { return nil, errors.ErrUnsupported }

func (*Watch) arm(int, int) error { return errors.ErrUnsupported }

func (*Watch) wakeReady(uintptr) bool { return true }
