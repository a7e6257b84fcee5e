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

// Exit statuses. The results of Kea (0 to 5) are their own exit status; most others are those of sysexits(3).
const (
	exitOK          = 0
	exitOther       = 6
	exitUsage       = 64
	exitUnavailable = 69
	exitInternal    = 70
	exitTryLater    = 75
	exitNotAllowed  = 77
)

// exitStatus returns the exit status for a result.
// exitStatus returns the exit status for a result.
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

// explainFailure returns the exit status and an error text for a command without a reply. The text says the cause and
// what the user can do. target is the URL or path of the daemon.
func explainFailure(ctx context.Context, err error, target string) (int, error) {
	local := strings.HasPrefix(target, "unix:") || !strings.Contains(target, ":")
	switch {
	case ctx.Err() != nil:
		return exitTryLater, context.Cause(ctx)
	case !local:
		return explainNetFailure(err, target)
	case errors.Is(err, fs.ErrNotExist):
		return exitUnavailable, fmt.Errorf("there is no daemon at %s (no such socket); start it, or give its URL with -s", target)
	case errors.Is(err, syscall.ECONNREFUSED):
		return exitUnavailable, fmt.Errorf("the daemon at %s is not running (only its socket file exists); start it again", target)
	case errors.Is(err, fs.ErrPermission):
		return exitNotAllowed, fmt.Errorf("you have no permission to open %s; try as its owner or as root: %w", target, err)
	}
	return exitUnavailable, fmt.Errorf("%s: %w", target, err)
}

// explainNetFailure is explainFailure for daemons at a network address.
func explainNetFailure(err error, target string) (int, error) {
	if !strings.HasPrefix(err.Error(), target) {
		err = fmt.Errorf("%s: %w", target, err)
	}
	if errors.As(err, new(*tlsconf.VerifyError)) { // its text says what to do
		return exitNotAllowed, err
	}
	switch httpStatus(err) {
	case 401, 403:
		return exitNotAllowed, err
	case 408, 429, 503:
		return exitTryLater, err
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" { // crypto/tls has no other type for alerts
		if strings.Contains(alert.Err.Error(), "certificate required") {
			return exitNotAllowed, fmt.Errorf("%w; the daemon requires a client certificate: give one with --pki, or with --cert and --key", err)
		}
		if strings.Contains(alert.Err.Error(), "certificate") {
			return exitNotAllowed, fmt.Errorf("%w; the daemon refuses the client certificate: check its CA, its purpose (client), its dates, and that it is not revoked", err)
		}
	}
	if errors.As(err, new(tls.AlertError)) { // from QUIC; its text says what to do
		return exitNotAllowed, err
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) && !strings.Contains(err.Error(), "is the daemon running"): // the quic and http transports add these words themselves
		return exitUnavailable, fmt.Errorf("%w; is the daemon running, and is this its address?", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return exitUsage, fmt.Errorf("%w; --pki, --ca, --cert and --key name files that you can read", err)
	case errors.As(err, new(*net.DNSError)):
		return exitUnavailable, fmt.Errorf("%w; check the host name", err)
	}
	return exitUnavailable, err
}

// httpStatus returns the HTTP status that refused a request or a WebSocket upgrade. It returns 0 for other errors.
func httpStatus(err error) int {
	if refused, ok := errors.AsType[*http.StatusError](err); ok {
		return refused.Status
	}
	if refused, ok := errors.AsType[*websocket.StatusError](err); ok {
		return refused.Status
	}
	return 0
}
