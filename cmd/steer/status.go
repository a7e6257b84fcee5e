package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/rudderpost/rudderpost/wire"
)

// Exit statuses: the result for Kea's results, sysexits' for what has one there.
const (
	exitOK          = 0
	exitOther       = 6
	exitUsage       = 64
	exitUnavailable = 69
	exitInternal    = 70
	exitTryLater    = 75
	exitNotAllowed  = 77
)

func exitStatus(code wire.Code) int {
	switch code {
	case wire.CodeSuccess, wire.CodeError, wire.CodeUnsupported, wire.CodeEmpty, wire.CodeConflict, wire.CodeFatal:
		return int(code)
	case wire.CodeUnauthenticated, wire.CodeForbidden:
		return exitNotAllowed
	case wire.CodeTimeout, wire.CodeTooMany, wire.CodeCancelled, wire.CodeShuttingDown:
		return exitTryLater
	case wire.CodeInternal:
		return exitInternal
	}
	return exitOther
}

// unreachable explains why there is no reply, and what to do about it.
func unreachable(ctx context.Context, err error, where string) (int, error) {
	switch {
	case ctx.Err() != nil:
		return exitTryLater, context.Cause(ctx)
	case errors.Is(err, fs.ErrNotExist):
		return exitUnavailable, fmt.Errorf("there is no daemon at %s (no such socket); start it, or say where it is with -s", where)
	case errors.Is(err, syscall.ECONNREFUSED):
		return exitUnavailable, fmt.Errorf("the daemon at %s does not run (its socket is left over); start it again", where)
	case errors.Is(err, fs.ErrPermission):
		return exitNotAllowed, fmt.Errorf("%s may not be opened by you; try as its owner or as root: %w", where, err)
	}
	return exitUnavailable, fmt.Errorf("%s: %w", where, err)
}
