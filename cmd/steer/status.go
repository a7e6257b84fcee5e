package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/websocket"
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
	local := strings.HasPrefix(where, "unix:") || !strings.Contains(where, ":")
	switch {
	case ctx.Err() != nil:
		return exitTryLater, context.Cause(ctx)
	case !local:
		return unreachableByNet(err, where)
	case errors.Is(err, fs.ErrNotExist):
		return exitUnavailable, fmt.Errorf("there is no daemon at %s (no such socket); start it, or say where it is with -s", where)
	case errors.Is(err, syscall.ECONNREFUSED):
		return exitUnavailable, fmt.Errorf("the daemon at %s does not run (its socket is left over); start it again", where)
	case errors.Is(err, fs.ErrPermission):
		return exitNotAllowed, fmt.Errorf("%s may not be opened by you; try as its owner or as root: %w", where, err)
	}
	return exitUnavailable, fmt.Errorf("%s: %w", where, err)
}

// unreachableByNet is unreachable for daemons that are not reached by a file.
func unreachableByNet(err error, where string) (int, error) {
	if !strings.HasPrefix(err.Error(), where) {
		err = fmt.Errorf("%s: %w", where, err)
	}
	if errors.As(err, new(*tlsconf.VerifyError)) { // which says what to do itself
		return exitNotAllowed, err
	}
	switch httpStatus(err) {
	case 401, 403:
		return exitNotAllowed, err
	case 408, 429, 503:
		return exitTryLater, err
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" { // crypto/tls's alerts have no other name
		if strings.Contains(alert.Err.Error(), "certificate required") {
			return exitNotAllowed, fmt.Errorf("%w; the daemon asks who we are, and we have no certificate: give one with --pki, or --cert and --key", err)
		}
		if strings.Contains(alert.Err.Error(), "certificate") {
			return exitNotAllowed, fmt.Errorf("%w; the daemon does not take our certificate: is it from its CA, for clients, in time, and not revoked?", err)
		}
	}
	if errors.As(err, new(tls.AlertError)) { // over QUIC, which says what to do itself
		return exitNotAllowed, err
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) && !strings.Contains(err.Error(), "is the daemon running"): // some say it themselves
		return exitUnavailable, fmt.Errorf("%w; is the daemon running, and is this its address?", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return exitUsage, fmt.Errorf("%w; --pki, --ca, --cert and --key name files that you can read", err)
	case errors.As(err, new(*net.DNSError)):
		return exitUnavailable, fmt.Errorf("%w; is the name right?", err)
	}
	return exitUnavailable, err
}

// httpStatus returns the status with which a request, or the upgrade to a WebSocket, was refused.
func httpStatus(err error) int {
	if refused, ok := errors.AsType[*http.StatusError](err); ok {
		return refused.Status
	}
	if refused, ok := errors.AsType[*websocket.StatusError](err); ok {
		return refused.Status
	}
	return 0
}
