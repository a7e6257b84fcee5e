//go:build !linux

package netfd

import (
	"errors"
	"os"
)

func newSet() (*os.File, error) { return nil, errors.ErrUnsupported }

func (*Poller) arm(int, int) error { return errors.ErrUnsupported }

func (*Poller) wakeReady(uintptr) bool { return true }
